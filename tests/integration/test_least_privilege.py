"""What `jetmesh topology --format permissions` prints is enough for a service, and no more."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nats
import pytest
from msgspec import Struct

from jetmesh import Delivery, Policy, Record, Reject, Retry, Service, derive, event
from jetmesh.declare import Duration, Topology
from jetmesh.errors import BrokerError
from jetmesh.operate.identities import CLIENT, Isolation, inbox_prefix
from jetmesh.protocol.ids import Cause
from jetmesh.protocol.streams import DEADLETTERS, REFUSALS, lane_stream
from jetmesh.runtime.running import Running
from jetmesh.testing import _load, eventually
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.dataplane import DataPlane
from jetmesh.transport.provision import apply, plan
from tests.integration.identities import rewrite
from tests.integration.planes import Fate
from tests.isolated import Isolated, isolated

NAME = "worker"


@event("in.placed", key="id")
class Placed(Struct, frozen=True):
    id: str


@event("out.accepted", key="id", decision="out.*")
class Accepted(Struct, frozen=True):
    id: str


@event("log.noted")
class Noted(Struct, frozen=True):
    text: str


class Board:
    def __init__(self) -> None:
        self.seen = 0

    def apply(self, _: object, __: Record) -> None:
        self.seen += 1


runs: Counter[str] = Counter()
"""How often the handler ran for a key."""
service = Service(NAME)
SHORT = Policy(
    attempts=3, backoff=Duration(0.05), timeout=Duration(1), ack_wait=Duration(1), concurrency=8
)
service.read_model(Board, events=[Placed, Noted])


@service.on(Placed, policy=SHORT)
async def decide(placed: Placed, delivery: Delivery) -> list[Accepted | Noted]:
    """Do everything that a service may have to do on the broker."""
    runs[placed.id] += 1
    if placed.id == "long":
        await asyncio.sleep(0.8)  # it is prolonged meanwhile, and settled after that
    if placed.id == "fails":
        raise ValueError("it always does")
    if placed.id == "bad":
        raise Reject("it is bad")
    if placed.id == "late" and delivery.attempt == 1:
        raise Retry("not yet", after=4)  # too long to wait in place
    return [Accepted(placed.id), Noted(placed.id)]


@service.on(Accepted, name="echo", policy=SHORT)
def echo(accepted: Accepted) -> None:
    """Take what the other one made."""


@pytest.fixture
def topology() -> Topology:
    return derive([service])


RESPONDS = "allow_responses: true"


@dataclass(frozen=True)
class Kind:
    """How a server is configured beside what is printed."""

    flags: str = ""
    responses: str = RESPONDS
    """What stands in place of the line for `nats micro`."""
    isolation: Isolation = "users"


V2 = "feature_flags { js_ack_fc_v2: true }"
KINDS = {
    "as printed": Kind(),
    "no responses": Kind(responses=""),
    "js_ack_fc_v2": Kind(flags=V2),
    "js_ack_fc_v2, responses denied": Kind(flags=V2, responses="allow_responses: false"),
    "accounts": Kind(isolation="all"),
    "accounts, js_ack_fc_v2": Kind(flags=V2, isolation="all"),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


@pytest.fixture
def guarded(tmp_path: Path, topology: Topology, kind: Kind) -> Iterator[Isolated]:
    """A broker that lets everyone do only what is derived."""
    runs.clear()
    with isolated(topology, kind.isolation, tmp_path, more=kind.flags) as started:
        rewrite_config(started, configured(started).replace(RESPONDS, kind.responses))
        yield started


def configured(guarded: Isolated) -> str:
    assert guarded.broker.config is not None
    return guarded.broker.config.read_text()


def rewrite_config(guarded: Isolated, text: str) -> None:
    """Start the broker anew with it."""
    assert guarded.broker.config is not None
    if text != configured(guarded):
        guarded.broker.config.write_text(text)
        guarded.broker.stop()
        guarded.broker.start()


def running(guarded: Isolated) -> Running:
    return Running(service, _load([service], guarded.broker.url, guarded.variables(NAME)))


async def test_a_service_does_all_its_work_with_what_is_printed(
    guarded: Isolated, topology: Topology, kind: Kind
) -> None:
    async with await guarded.control() as control, running(guarded) as worker:
        await eventually(lambda: "missing" in worker.health.starting, what="waiting for apply")
        await apply(control, await plan(control, topology))
        await worker.started
        async with await guarded.control(CLIENT) as client:
            for key in ("good", "bad", "late", "long"):
                await client.publish(f"in.placed.{key}", b'{"id":"%b"}' % key.encode())
            await client.publish("in.placed", b'{"id":"good"}')  # decided by another cause
        await stored(control, "OUT", "out.accepted.good")
        await stored(control, "LOG", "log.noted")
        await stored(control, DEADLETTERS, f"deadletters.{NAME}.decide.bad")
        await stored(control, REFUSALS, f"refusals.{NAME}.decide.good")
        await stored(control, "OUT", "out.accepted.late")
        await stored(control, "OUT", "out.accepted.long")
        await eventually(lambda: worker.injector[Board].seen >= 6, what="the read model")

        async def lane_is_empty() -> bool:
            info = await control.api(f"STREAM.INFO.{lane_stream(NAME)}")
            return not info["state"]["messages"]

        await eventually(lane_is_empty, what="the lane's message is forgotten")
        await eventually(lambda: not worker.health.problems(), what="ready")
        await eventually(lambda: settled(control, topology), what="every verdict")
        assert runs["long"] == 1
        if kind.responses == RESPONDS:
            assert f'"name": "{NAME}"' in await found_by_micro(guarded)


async def test_what_is_printed_is_enough_to_find_out_who_took_an_id(
    guarded: Isolated, topology: Topology
) -> None:
    """Of a decision, of an event without a key and with younger ones behind it, of a letter."""
    async with await guarded.control() as control:
        await apply(control, await plan(control, topology))
        good, bad = [await placed(control, key) for key in ("good", "bad")]
        taken = {
            "out.elsewhere.x.y": good.id("out.accepted.good"),
            "log.elsewhere": good.id("log.noted"),
            "deadletters.elsewhere.any._": bad.deadletter(0),
        }
        for subject, message_id in taken.items():
            await control.publish(subject, b"", {"Nats-Msg-Id": message_id})
        await control.publish("log.noted", b'{"text":"another"}')
        await control.publish(f"deadletters.{NAME}.decide.bad", b"another")
        async with running(guarded) as worker:
            await worker.started
            await eventually(lambda: settled(control, topology), within=30, what="every verdict")
            assert worker.health.problems() == []
        assert await control.last("OUT", "out.accepted.good") is not None
        for stream, subject in (("LOG", "log.noted"), (DEADLETTERS, f"deadletters.{NAME}.>")):
            found = [each async for each in control.history(stream, [subject])]
            assert len(found) == 2, subject


async def placed(control: ControlPlane, key: str) -> Cause:
    """An input that nobody has handled yet."""
    stored_at = await control.publish(f"in.placed.{key}", b'{"id":"%b"}' % key.encode())
    message = await control.message(stored_at.stream, stored_at.sequence)
    assert message is not None
    return Cause(NAME, "decide", "IN", str(stored_at.sequence), message.stored_ns)


async def settled(control: ControlPlane, topology: Topology) -> bool:
    names = [f"{spec.stream}.{spec.name}" for spec in topology.durables]
    try:
        infos = [await control.api(f"CONSUMER.INFO.{name}") for name in names]
    except BrokerError:  # while it reads its configuration again, nobody answers
        return False
    return not any(info["num_pending"] or info["num_ack_pending"] for info in infos)


async def stored(control: ControlPlane, stream: str, subject: str) -> None:
    await eventually(lambda: control.last(stream, subject), what=subject)


async def found_by_micro(guarded: Isolated) -> str:
    """By whoever does not log in."""
    client = await nats.connect(guarded.broker.url)
    answer = await client.request("$SRV.PING", timeout=2)
    await client.close()
    return answer.data.decode()


async def test_a_service_may_do_nothing_else(guarded: Isolated, topology: Topology) -> None:
    async with await guarded.control() as control:
        await apply(control, await plan(control, topology))
        body = {"durable_name": "another", "ack_policy": "explicit"}
        await control.api("CONSUMER.CREATE.OUT.another", {"stream_name": "OUT", "config": body})
    me = guarded.settings(NAME)
    async with await ControlPlane.connect(me, name="test") as mine:
        reading = ("STREAM.MSG.GET.OUT", "DIRECT.GET.OUT", f"DIRECT.GET.{DEADLETTERS}")
        for subject in (
            "STREAM.DELETE.IN",
            "STREAM.PURGE.IN",
            "CONSUMER.INFO.OUT.another",
            *reading,
        ):
            with pytest.raises(BrokerError, match="lacks the permission"):
                await mine.api(subject, {})
    async with DataPlane(me, name="test") as plane:
        fate = Fate()
        plane.publish(b"in.placed.p-1", b"NATS/1.0\r\n\r\n", b"{}", fate)
        await eventually(lambda: "publish on in.placed.p-1" in plane.problem, what="denied")
        pull = plane.inflow("OUT", "another", limit=1, on_delivery=lambda *_: None)
        pull.start()
        await eventually(lambda: "lacks the permission" in pull.problem, what="denied")
    denied = asyncio.get_running_loop().create_future()

    async def on_error(error: Exception) -> None:
        if not denied.done():
            denied.set_result(str(error))

    seed = me.nkey_seed_file
    spy = await nats.connect(guarded.broker.url, nkeys_seed=seed, error_cb=on_error)
    await spy.subscribe(f"{inbox_prefix(CLIENT)}.>")
    assert "permissions violation for subscription" in await asyncio.wait_for(denied, 5)
    await spy.close()


async def test_a_permission_that_is_taken_away_is_named_with_the_line_to_grant(
    guarded: Isolated, topology: Topology
) -> None:
    """In /readyz, by the pattern that is declared and not by the key that met it."""
    rewrite_config(guarded, configured(guarded).replace('        "out.accepted.*"\n', "\n"))
    async with await guarded.control() as control:
        await apply(control, await plan(control, topology))
        async with running(guarded) as worker:
            await worker.started
            await control.publish("in.placed.p-1", b'{"id":"p-1"}')
            line = 'publish on out.accepted.p-1; grant publish: ["out.accepted.*"]'
            await eventually(lambda: any(line in text for text in worker.health.problems()))


def without_acks(text: str) -> str:
    """What a user may publish, without the lines for its verdicts."""
    return "\n".join(line for line in text.splitlines() if not line.strip().startswith('"$JS.ACK'))


async def asked_again(worker: Running) -> None:
    """Wait until it asks once more whether verdicts are taken."""
    before = worker._plane._asked
    await eventually(lambda: worker._plane._asked not in (before, None), what="a question")


async def test_a_service_that_may_not_settle_runs_nothing_until_it_may(
    guarded: Isolated, topology: Topology
) -> None:
    """However often the server would deliver it again, which it does after each second."""
    printed = configured(guarded)
    rewrite_config(guarded, without_acks(printed).replace(RESPONDS, ""))
    async with await guarded.control() as control:
        await apply(control, await plan(control, topology))
        async with running(guarded) as worker:
            await worker.started
            for key in ("fails", *map(str, range(100))):
                await control.publish(f"in.placed.{key}", b'{"id":"%b"}' % key.encode())
            said = 'worker-decide.>"]'
            await eventually(lambda: any(said in text for text in worker.health.problems()))
            before = Counter(runs)
            for _ in range(2):
                await asked_again(worker)
            assert runs == before
            assert max(runs.values()) <= 1
            assert sum(runs.values()) < 50, "what was delivered already does not run on either"
            rewrite(guarded.broker, printed)
            await eventually(lambda: settled(control, topology), within=20, what="every verdict")
            await eventually(lambda: not worker.health.problems(), what="ready")
            assert runs["fails"] <= 4
            assert runs.keys() >= set(map(str, range(100)))


async def test_that_answers_are_allowed_hides_no_missing_permission(
    guarded: Isolated, topology: Topology
) -> None:
    """One answer to each delivery is allowed then: `+WPI` uses it up, and the ack is refused."""
    rewrite_config(guarded, without_acks(configured(guarded)))
    async with await guarded.control() as control:
        await apply(control, await plan(control, topology))
        async with running(guarded) as worker:
            await worker.started
            await control.publish("in.placed.long", b'{"id":"long"}')
            said = 'worker-decide.>"]'
            await eventually(lambda: any(said in text for text in worker.health.problems()))
            for _ in range(2):
                await asked_again(worker)
            assert runs["long"] == 1
