"""Every kind of finding, from facts alone; and none when all is well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from jetmesh.declare import Replacement, Topology
from jetmesh.operate.asking.answers import (
    Account,
    Cluster,
    JetStream,
    JetStreamConfig,
    JetStreamStats,
    Limits,
    Position,
    Replica,
    StreamConfig,
    StreamState,
    Tier,
    Varz,
)
from jetmesh.operate.deadletters.letter import Group
from jetmesh.operate.doctor.diagnosis import AREAS, findings
from jetmesh.operate.doctor.facts import (
    BrokerProblem,
    Facts,
    Lane,
    QuarantineMark,
    Server,
    ServerStatus,
    Snapshot,
)
from jetmesh.operate.doctor.finding import SEVERITIES, Finding
from jetmesh.operate.undeclared import Undeclared
from jetmesh.protocol.streams import DEADLETTERS
from jetmesh.transport.provision import Change, Field
from tests.unit.operate.deadletters.test_letter import letter
from tests.unit.operate.doctor.doctored import (
    DURABLE,
    ID,
    LATE,
    NOON,
    REMEMBERED,
    STREAM,
    durable,
    facts,
    flow,
    giving_up,
    instance,
    robbed,
    said,
    skipping,
    slow,
    slow_read_model,
    strange,
    stream,
    topology,
    unable,
    unanswered,
)

MINUTE_NS = 60_000_000_000
LONG_AGO = Position(consumer_seq=5, stream_seq=5, last_active=said(-600))
SINCE_A_WHILE = Position(consumer_seq=5, stream_seq=5, last_active=said(-25))
STRAY = Undeclared(STREAM, "doctored.plased", 3, "doctored.placed", NOON - timedelta(minutes=5))
NOBODY: dict[str, Any] = {"instances": ()}


def silent(kind: Any) -> Callable[[], Facts]:
    return lambda: facts(broker_problem=BrokerProblem(kind, "because"))


def server_statuses(config: JetStreamConfig, used: int = 0, unhealthy: str = "") -> Facts:
    jetstream = JetStream(config, JetStreamStats(used))
    port = ServerStatus("http://a:8222", Varz("a", jetstream=jetstream), unhealthy)
    return facts({"server_statuses": (port,)}, production=True)


def account(**used: Any) -> Facts:
    return facts({"account": Account(**used)})


def kept(name: str = STREAM, messages: int = 5, size: int = 0, **config: Any) -> dict[str, Any]:
    """One stream of a look."""
    default = {"num_replicas": 3, "duplicate_window": 2 * MINUTE_NS}
    configured = StreamConfig(name=name, **{**default, **config})
    state = StreamState(messages=messages, bytes=size, last_seq=messages)
    return {"streams": {name: stream(name, config=configured, state=state)}}


def followed(**replica: Any) -> dict[str, Any]:
    follower = Replica("b", **replica)
    return {"streams": {STREAM: stream(STREAM, cluster=Cluster("C3", "a", (follower,)))}}


def missing(kind: Any, *names: str) -> tuple[Change, ...]:
    return tuple(Change("create", kind, name) for name in names)


def group(sequence: int, fingerprint: str = "f1") -> Group:
    fault = {"where": "shop/desk.py:8 in take", "message": "no shelf", "fingerprint": fingerprint}
    return Group(letter(sequence, "deadletters.desk.take.p-1", **fault), NOON, {"open": 3})


def on_lane(**values: Any) -> Facts:
    return facts({"lanes": (Lane(**{"service": "desk", "handler": "take", **values}),)})


LANE_STREAM = next(each.name for each in topology().streams if each.schedules)
ALL_STREAMS = [each.name for each in topology().streams]
DRIFTED = (Field("max_age", 0, 5),)
CASES: dict[str, Callable[[], Facts]] = {
    "broker-absent": silent("absent"),
    "broker-refuses": silent("refuses"),
    "broker-old": silent("old"),
    "jetstream-off": silent("no JetStream"),
    "no-quorum": lambda: facts({"account": None}),
    "not-permitted": lambda: unanswered("no", denied=True),
    "unseen": lambda: unanswered("no answer"),
    "server-unhealthy": lambda: server_statuses(JetStreamConfig(sync_always=True), 0, "no leader"),
    "sync-late": lambda: server_statuses(JetStreamConfig(sync_interval=2 * MINUTE_NS)),
    "sync-short": lambda: server_statuses(JetStreamConfig(sync_interval=1_000_000_000)),
    "sync-unseen": lambda: facts(production=True),
    "storage-near": lambda: server_statuses(JetStreamConfig(100, sync_always=True), 80),
    "storage-full": lambda: server_statuses(JetStreamConfig(100, sync_always=True), 95),
    "account-near": lambda: account(storage=80, limits=Limits(max_storage=100)),
    "account-full": lambda: account(tiers={"R3": Tier(streams=3, limits=Limits(max_streams=3))}),
    "tls-unasked": lambda: facts(server=Server("nats://a", "a", "2.15.1", tls_unasked=True)),
    "max-payload": lambda: facts(server=Server("nats://a", "a", "2.15.1", "C3", 65536)),
    "clock": lambda: facts({"clocks": {"a": -3.0}}),
    "not-applied": lambda: facts(changes=missing("stream", *ALL_STREAMS)),
    "stream-missing": lambda: facts(changes=missing("stream", STREAM)),
    "durable-missing": lambda: facts(changes=missing("durable", ID)),
    "drift": lambda: facts(changes=(Change("update", "stream", STREAM, DRIFTED),)),
    "drift-refused": lambda: facts(changes=(Change("refuse", "stream", STREAM, DRIFTED),)),
    "one-replica": lambda: facts(kept(num_replicas=1), server=Server("nats://a", "a")),
    "one-replica-clustered": lambda: facts(kept(num_replicas=1)),
    "stream-silent": lambda: facts({"silent": {STREAM: "no answer"}}),
    "no-leader": lambda: facts({"streams": {STREAM: stream(STREAM, cluster=Cluster("C3"))}}),
    "durable-silent": lambda: facts({"without_leader": (ID,)}),
    "follower-offline": lambda: facts(followed(current=True, offline=True)),
    "follower-behind": lambda: facts(followed(lag=7), followed(lag=9)),
    "stream-near": lambda: facts(kept(size=80, max_bytes=100)),
    "stream-full": lambda: facts(kept(size=95, max_bytes=100)),
    "lane-limited": lambda: facts(kept(LANE_STREAM, max_msg_size=1000)),
    "undeclared": lambda: facts({"undeclared": (STRAY,)}),
    "mapped": lambda: facts({"mapped": {"desk.taken.*": "desk.2.taken.*"}}),
    "ceiling-passed": lambda: facts(grown(7_000_000)),
    "ceiling-near": lambda: facts(grown(5_000_000)),
    "ceiling-ahead": lambda: facts(grown(1_000_000, days=10)),
    "window-short": lambda: facts(topology=topology(attempts=20)),
    "nobody-pulls": lambda: flow({"num_waiting": 0, "num_pending": 1}, **NOBODY),
    "stands-still": lambda: flow({"num_pending": 1, "delivered": LONG_AGO, "ack_floor": LONG_AGO}),
    "slow": lambda: flow(
        {"num_pending": 1, "delivered": SINCE_A_WHILE, "ack_floor": SINCE_A_WHILE}
    ),
    "lag-grows": lambda: flow(
        {"num_pending": 110, "delivered": Position(10, 10, said(-1))}, {"num_pending": 50}
    ),
    "slowest-stage": lambda: flow(
        {"num_pending": 500, "delivered": Position(55, 55, said(-1))}, {"num_pending": 500}
    ),
    "places-taken": lambda: flow({"num_pending": 1, "num_ack_pending": 100}),
    "redelivered": lambda: flow({"num_redelivered": 10, "num_ack_pending": 20}),
    "paused": lambda: flow({"paused": True, "num_waiting": 0, "num_pending": 4}),
    "orphan": lambda: facts({"durables": {(STREAM, "old"): durable((STREAM, "old"))}}),
    "service-absent": lambda: facts(NOBODY, NOBODY),
    "not-ready": lambda: facts({"instances": (instance(metadata={"problem": "it waits"}),)}),
    "versions": lambda: facts({"instances": (instance(), instance(id="two", version="0.9.0"))}),
    "other-version": lambda: flow({}, instances=(instance(version="2.0.0"),)),
    "stranger": lambda: facts({"instances": (instance(), instance(id="two", name="other"))}),
    "keeps-loop": lambda: facts({"instances": (slow(1, of=100),)}),
    "forged": lambda: facts({"instances": (robbed(forged=("DESK:17",)),)}),
    "message-ids-taken": lambda: facts({"instances": (robbed(squatted=2),)}),
    "slow-read-model": slow_read_model,
    "read-model-skips": skipping,
    "strange-from-outside": strange,
    "cannot-read": unable,
    "dead-letters-unreadable": giving_up,
    "outstayed": lambda: replace(facts(), topology=replaced(until=NOON.date())),
    "dead-letters-grow": lambda: facts({"letters": (group(6),)}),
    "dead-letters": lambda: facts({"letters": (group(5),)}),
    "dead-letters-more": lambda: facts({"letters": tuple(group(5, f"f{n}") for n in range(11))}),
    "on-lane": lambda: on_lane(due=1, scheduled=2, oldest=NOON),
    "lost-lane": lambda: on_lane(handler="gone", due=1),
    "quarantine": lambda: on_lane(quarantined=(QuarantineMark("lanes.desk.take.S.1.suspect", 2),)),
    "refusals": lambda: facts({"refusals": {"desk.take": 3}}),
    **REMEMBERED,
    **LATE,
}
KINDS = [kind for area in AREAS for kind in area.kinds]


def grown(keys: int, days: int = 0) -> dict[str, Any]:
    """A stream with so many keys, made so many days ago."""
    made = said(-86_400 * days - 1)
    state = StreamState(messages=keys, last_seq=5, num_subjects=keys)
    return {"streams": {STREAM: stream(STREAM, state=state, created=made)}}


def replaced(until: date) -> Topology:
    """The desk, of which an event gives way to another one."""
    nothing: Any = None
    record = Replacement("doctored-by.put", "it says too little", until, print, nothing, "here")
    given = topology()
    gone = [replace(e, replacements=[record]) for e in given.events if e.stream == STREAM]
    return replace(given, events=(*gone, *(e for e in given.events if e.stream != STREAM)))


def codes(several: list[Finding]) -> list[str]:
    return [each.code for each in several]


def test_a_mesh_that_is_well_gives_nothing_to_say() -> None:
    assert findings(facts()) == []
    assert findings(replace(facts(), before=None)) == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.code)
def test_every_kind_is_found_in_its_case_and_says_all_of_its_words(kind: Any) -> None:
    found = [each for each in findings(CASES[kind.code]()) if each.code == kind.code]
    assert found, "its case does not show it"
    for each in found:
        assert each.severity == kind.severity
        assert each.sentence.endswith(".")
        assert "{" not in each.sentence
        assert each.remedy
        assert each.about


def test_no_two_kinds_have_one_code_and_no_case_is_left_over() -> None:
    assert len({kind.code for kind in KINDS}) == len(KINDS)
    assert set(CASES) == {kind.code for kind in KINDS}


def test_the_worst_comes_first() -> None:
    now = {"refusals": {"desk.take": 3}, "letters": (group(6), group(5, "f2"))}
    told = [each.severity for each in findings(facts(now))]
    assert told == sorted(told, key=SEVERITIES.index)
    assert len(set(told)) == 3


def test_nothing_else_is_said_about_a_broker_that_cannot_be_asked() -> None:
    nothing = Snapshot(at=0.0, taken_at=NOON, account=None)
    told = facts(broker_problem=BrokerProblem("absent", "because"), production=True)
    assert codes(findings(replace(told, now=nothing, before=None))) == ["broker-absent"]


def test_what_belongs_to_others_is_counted_in_one_finding() -> None:
    """Hundreds of them would hide what is ours."""
    names = [f"other-{number:03}" for number in range(300)]
    now = {
        "durables": {
            (STREAM, name): durable((STREAM, name), num_pending=int(name == names[200]))
            for name in names
        },
        "instances": (instance(), *(instance(id=name, name=name) for name in names)),
        "lanes": tuple(Lane("another", name, due=1) for name in names),
    }
    told = {each.code: each for each in findings(facts(now))}
    assert len(told) == len(findings(facts(now))) == 3
    orphan, stranger, lane = (told[code] for code in ("orphan", "stranger", "lost-lane"))
    assert orphan.sentence == "No service declares 300 durables."
    assert orphan.evidence[0].startswith(f"{STREAM}/other-200: 1 message waits"), (
        "the fullest first"
    )
    assert orphan.evidence[-1] == "and 295 more"
    assert stranger.sentence == "300 services are running but are not part of this system."
    assert lane.sentence == "Messages wait on the lanes of 300 handlers that no service declares."
    assert "'lanes.SERVICE.HANDLER.>'" in lane.remedy


# servers


def test_how_often_servers_write_to_disk_matters_only_in_production() -> None:
    told = server_statuses(JetStreamConfig(sync_interval=2 * MINUTE_NS))
    assert "sync-late" in codes(findings(told))
    assert "sync-late" not in codes(findings(replace(told, production=False)))
    always = JetStreamConfig(sync_interval=2 * MINUTE_NS, sync_always=True)
    assert codes(findings(server_statuses(always))) == []


def test_what_a_lost_quorum_leaves_without_an_answer_is_told_with_it() -> None:
    (finding,) = findings(facts({"headless": ("drift", "stream ORDERS")}))
    assert finding.code == "no-quorum"
    assert finding.evidence == ("no answer about drift and stream ORDERS",)


def test_an_undeclared_subject_is_told_with_its_age_and_what_was_meant() -> None:
    (finding,) = findings(facts({"undeclared": (STRAY,)}))
    assert finding.about == "doctored.plased"
    assert "3 messages" in finding.sentence
    assert finding.evidence == (
        "the newest is 5 min old",
        "the declared subject that is nearest is doctored.placed",
    )
    assert "again on doctored.placed; then `nats stream purge DOCTORED" in finding.remedy


def test_limits_of_an_account_that_has_none_are_no_limits() -> None:
    assert findings(account(storage=10**15, streams=10**6)) == []


def test_a_handler_that_keeps_the_loop_is_named_with_the_place_and_the_remedy() -> None:
    (finding,) = findings(facts({"instances": (slow(7, of=50),)}))
    assert finding.sentence == "desk.take keeps the event loop of its process."
    assert finding.evidence == ("7 of 50 calls of one on machine-1 took longer than 100 ms",)
    assert "on(…, threads=4)" in finding.remedy


def test_a_call_that_was_slow_once_is_no_finding() -> None:
    assert findings(facts({"instances": (slow(1, of=101),)})) == []


# streams


def test_the_durables_of_a_missing_stream_are_told_with_it() -> None:
    changes = missing("stream", STREAM) + missing("durable", ID)
    (finding,) = findings(facts(changes=changes))
    assert (finding.code, finding.evidence) == ("stream-missing", (f"with it {ID}",))


def test_a_follower_that_has_just_begun_is_given_time() -> None:
    assert codes(findings(facts(followed(lag=7)))) == []


def test_the_replicas_of_a_server_are_told_together() -> None:
    follower = Cluster("C3", "a", (Replica("b", offline=True, active=90_000_000_000),))
    now = {
        "streams": {name: stream(name, cluster=follower) for name in (STREAM, DEADLETTERS)},
        "durables": {DURABLE: durable(cluster=follower)},
    }
    (finding,) = findings(facts(now))
    assert finding.about == "b"
    assert finding.evidence == (
        "replicas of streams DEADLETTERS and DOCTORED and 1 durable",
        "last heard of 90 s ago",
    )


def test_a_stream_that_fills_says_when_it_is_full() -> None:
    (finding,) = findings(facts(kept(size=90, max_bytes=100), kept(size=85, max_bytes=100)))
    assert finding.evidence[1] == "full in about 10 s at the present rate"


def test_a_dedup_window_need_not_outlive_what_a_policy_cuts_short() -> None:
    assert codes(findings(facts(topology=topology(attempts=20, max_age=60)))) == []


# durables


def test_services_that_could_not_be_asked_are_not_called_absent() -> None:
    unasked = {"instances": None}
    assert codes(findings(facts(unasked, unasked))) == []


def test_a_process_that_waits_says_so_where_it_runs() -> None:
    now = NOBODY | {"not_ready": {"desk": "waiting for the broker"}}
    (finding,) = findings(facts(now, NOBODY))
    assert finding.evidence == ("its /readyz says: waiting for the broker",)


def test_services_of_other_libraries_are_passed_over() -> None:
    other = instance(id="two", name="other", metadata={"library": "theirs"})
    assert findings(facts({"instances": (instance(), other)})) == []


# dead letters


def test_one_look_cannot_tell_that_dead_letters_grow() -> None:
    told = replace(facts({"letters": (group(6),)}), before=None)
    assert codes(findings(told)) == ["dead-letters"]


def test_dead_letters_are_told_with_their_reason_and_what_to_type() -> None:
    (finding,) = findings(facts({"letters": (group(5),)}))
    assert finding.sentence == "desk.take gave up 3 messages for one reason."
    assert finding.evidence[:2] == ("ValueError: no shelf", "at shop/desk.py:8 in take")
    assert "jetmesh deadletters replay --fingerprint f1" in finding.remedy


def test_a_mark_alone_is_no_message_on_a_lane() -> None:
    assert codes(findings(on_lane(quarantined=(QuarantineMark("lanes.x", 1),)))) == ["quarantine"]


def test_an_event_that_may_stay_until_tomorrow_is_nothing_to_say() -> None:
    tomorrow = NOON.date() + timedelta(days=1)
    assert findings(replace(facts(), topology=replaced(until=tomorrow))) == []
    (found,) = findings(CASES["outstayed"]())
    assert found.evidence == ("it is read by desk.take", "why it was to go: it says too little")
