"""Whoever may publish takes message ids and decisions of others: nothing is lost, and it is told.

He knows everything: when the input was stored, what the service will publish, and under which id.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from jetmesh import Publisher
from jetmesh.cli.commands import heal as command
from jetmesh.declare import derive
from jetmesh.errors import JetmeshError, UsageError
from jetmesh.operate.trace import trace
from jetmesh.operate.up.broker import Broker
from jetmesh.settings import NatsSettings
from jetmesh.testing import eventually
from jetmesh.transport.control import ControlPlane
from tests.attacks.squatting import GARBAGE, Victim, findings_of, healed, squat, stored_on


async def test_an_id_taken_on_another_subject_of_the_stream_costs_no_outcome(
    broker: Broker, unique: str
) -> None:
    """The decision, and what is none: both go on by themselves, once."""
    victim = Victim(unique)
    async with victim.asleep(broker) as control:
        order = await victim.place(control, "note-1")
        subject = f"{unique}.verdict.accepted.note-1"
        for handler, effect in (("decide", subject), ("note", f"{unique}.noted")):
            taken = victim.id_of(order, handler, effect)
            await squat(control, f"{unique}.elsewhere", taken)
    async with victim.awake(broker) as m:
        await stored_on(m, victim.stream, subject, many=1)
        await stored_on(m, victim.stream, f"{unique}.noted", many=1)
        await m.settled(within=30)
        assert len(await m.stored(victim.stream, f"{unique}.verdict.>")) == 1
        assert len(await m.stored(victim.stream, f"{unique}.noted")) == 1
        assert [victim.stats(m, each).squatted for each in ("decide", "note")] == [1, 1]
        told = {each.about for each in await findings_of(m, victim, "message-ids-taken")}
        assert told == {f"{victim.service.name}.{each}" for each in ("decide", "note")}
        assert victim.problems(m) == ""


async def test_ids_taken_again_and_again_cost_no_outcome(broker: Broker, unique: str) -> None:
    """He guesses the other ids, too: they name the message that took the one before."""
    victim = Victim(unique)
    async with victim.asleep(broker) as control:
        order = await victim.place(control, "note-1")
        taken = victim.id_of(order, "note", f"{unique}.noted")
        for _ in range(3):
            by = await squat(control, f"{unique}.elsewhere", taken)
            taken = f"{taken}>{by.sequence}"
    async with victim.awake(broker) as m:
        await stored_on(m, victim.stream, f"{unique}.noted", many=1)
        await m.settled(within=30)
        assert len(await m.stored(victim.stream, f"{unique}.noted")) == 1


async def test_an_id_taken_elsewhere_is_noticed_behind_younger_messages_of_our_subject(
    broker: Broker, unique: str
) -> None:
    """The newest message on a subject without a key says nothing about an older id."""
    victim = Victim(unique)
    async with victim.asleep(broker) as control:
        order = await victim.place(control, "note-1")
        taken = victim.id_of(order, "note", f"{unique}.noted")
        await squat(control, f"{unique}.elsewhere", taken)
        await control.publish(f"{unique}.noted", b'{"about": "another"}')
    async with victim.awake(broker) as m:
        noted = await stored_on(m, victim.stream, f"{unique}.noted", many=2)
        await m.settled(within=30)
        assert len(await m.stored(victim.stream, f"{unique}.noted")) == 2
        assert msgspec.json.decode(noted[-1].payload) == {"about": "note-1"}
        assert victim.stats(m, "note").squatted == 1


async def test_our_own_message_behind_younger_ones_is_recognised(
    broker: Broker, unique: str
) -> None:
    """A crash came between PubAck and ack, and others published on the subject since."""
    victim = Victim(unique)
    async with victim.asleep(broker) as control:
        order = await victim.place(control, "note-1")
        ours = victim.id_of(order, "note", f"{unique}.noted")
        await squat(control, f"{unique}.noted", ours, b'{"about": "note-1"}')
        await control.publish(f"{unique}.noted", b'{"about": "another"}')
    async with victim.awake(broker) as m:
        await m.settled(within=30)
        assert len(await m.stored(victim.stream, f"{unique}.noted")) == 2
        stats = victim.stats(m, "note")
        assert (stats.repeated, stats.squatted, stats.forged) == (1, 0, 0)


@pytest.mark.parametrize("payload", [GARBAGE, b'{"about": 1}', b""])
async def test_garbage_under_our_id_on_our_subject_keeps_the_input_until_it_is_removed(
    broker: Broker, unique: str, payload: bytes
) -> None:
    victim = Victim(unique)
    async with victim.asleep(broker) as control:
        order = await victim.place(control, "note-1")
        taken = victim.id_of(order, "note", f"{unique}.noted")
        forged = await squat(control, f"{unique}.noted", taken, payload)
    async with victim.awake(broker) as m:
        place = f"{forged.stream}:{forged.sequence}"
        await eventually(lambda: place in victim.problems(m), within=30)
        assert "is forged" in victim.problems(m)
        assert victim.consumer(m, "note").verdicts.unstorable.forged == [place]
        await eventually(lambda: victim.stats(m, "note").delivered >= 4, within=30)
        assert victim.stats(m, "note").failed == 0
        assert victim.stats(m, "note").forged == 1, "it is told once, however often it comes again"
        assert await m.stored("DEADLETTERS", f"deadletters.{unique}-service.>") == []
        await healed(m, victim, forged)
        (noted,) = await stored_on(m, victim.stream, f"{unique}.noted", many=1)
        assert msgspec.json.decode(noted.payload) == {"about": "note-1"}
        await m.settled(within=30)
        await eventually(lambda: victim.problems(m) == "", within=30)
        assert len(await m.stored(victim.stream, f"{unique}.noted")) == 1


async def test_heal_shows_what_is_forged_without_what_is_sensitive_and_asks_before_it_removes(
    broker: Broker,
    unique: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    victim = Victim(unique)
    async with victim.asleep(broker) as control:
        await victim.place(control, "k-1")
        payload = b'{"order": "k-2", "note": "ask jane@example.org"}'
        forged = await squat(control, f"{unique}.verdict.accepted.k-1", payload=payload)
        truth = await control.publish(f"{unique}.noted", b'{"about": "something"}')
    place = f"{forged.stream}:{forged.sequence}"
    async with victim.awake(broker) as m:
        await eventually(lambda: place in victim.problems(m), within=30)
        monkeypatch.setattr(
            command, "load", lambda *_: (NatsSettings(url=broker.url), derive([victim.service]))
        )

        async def heal(*places: str, yes: bool = False) -> str:
            await asyncio.to_thread(command.heal, [*places], "", "", yes=yes)
            return capsys.readouterr().out

        shown = await heal()
        assert place in shown
        assert f"in the way of {victim.service.name}.decide" in shown
        assert "example.org" not in shown
        assert f"jetmesh heal {place}" in shown
        with pytest.raises(UsageError, match="Nobody confirmed"):
            await heal(place)
        with pytest.raises(JetmeshError, match="its owner can have made it"):
            await heal(f"{truth.stream}:{truth.sequence}", yes=True)
        assert len(await m.stored(victim.stream)) == 2
        assert "was removed" in await heal(place, yes=True)
        await stored_on(m, victim.stream, f"{unique}.verdict.accepted.k-1", many=1)
        await eventually(lambda: victim.problems(m) == "", within=30)
        assert "No running service waits" in await heal()


async def test_a_trace_names_what_is_forged(broker: Broker, unique: str) -> None:
    victim = Victim(unique)
    async with victim.asleep(broker) as control:
        await victim.place(control, "k-1")
        forged = await squat(control, f"{unique}.verdict.accepted.k-1", payload=b'{"order": "k-1"}')
        steps = await trace(control, derive([victim.service]), "k-1")
    place = f"{forged.stream}:{forged.sequence}"
    (step,) = [each for each in steps if each.id == place]
    assert f"jetmesh heal {place} removes it" in step.notes[0]


async def test_what_had_its_effect_waits_and_has_it_once(broker: Broker, unique: str) -> None:
    victim = Victim(unique)
    async with victim.asleep(broker) as control:
        order = await victim.place(control, "charge-1")
        subject = f"{unique}.charged.charge-1"
        taken = victim.id_of(order, "charge", subject)
        forged = await squat(control, subject, taken)
    async with victim.awake(broker) as m:
        await eventually(lambda: "is forged" in victim.problems(m), within=30)
        waits = victim.consumer(m, "charge").verdicts.unstorable
        await eventually(lambda: [e.rounds for e in waits.reasons.values()] > [3], within=30)
        assert victim.charges == ["charge-1"]
        await healed(m, victim, forged)
        (charged,) = await stored_on(m, victim.stream, subject, many=1)
        assert msgspec.json.decode(charged.payload) == {"order": "charge-1"}
        await m.settled(within=30)
        assert victim.charges == ["charge-1"]


FORGERIES = {
    "an unguarded publisher": ("accepted", '{"order": "k-1"}', ""),
    "garbage": ("accepted", "not an event", "{service}:decide:{cause}:{subject}"),
    "a foreign id": ("accepted", '{"order": "k-1"}', "other:decide:{cause}:{subject}"),
    "the id of another subject": ("refused", '{"order": "k-1"}', "{service}:decide:{cause}:x"),
    "the key of another": ("refused", '{"order": "k-2"}', "{service}:decide:{cause}:{subject}"),
    "an outcome that nobody declares": ("so-so", "{}", "{service}:decide:{cause}:{subject}"),
}


@pytest.mark.parametrize("how", FORGERIES)
async def test_a_forged_decision_keeps_the_input_until_it_is_removed(
    broker: Broker, unique: str, how: str
) -> None:
    outcome, payload, message_id = FORGERIES[how]
    victim = Victim(unique)
    async with victim.asleep(broker) as control:
        order = await victim.place(control, "k-1")
        subject = f"{unique}.verdict.{outcome}.k-1"
        cause = f"{order.stored.stream}:{order.cause.token}"
        given = message_id.format(service=victim.service.name, cause=cause, subject=subject)
        forged = await squat(control, subject, given, payload.encode())
    async with victim.awake(broker) as m:
        await eventually(lambda: f":{forged.sequence} stands" in victim.problems(m), within=30)
        await eventually(lambda: victim.stats(m, "decide").delivered >= 4, within=30)
        assert victim.stats(m, "decide").failed == 0
        assert await m.stored("REFUSALS", f"refusals.{unique}-service.>") == []
        await healed(m, victim, forged)
        await stored_on(m, victim.stream, f"{unique}.verdict.accepted.k-1", many=1)
        await m.settled(within=30)
        (verdict,) = await m.stored(victim.stream, f"{unique}.verdict.>")
        assert msgspec.json.decode(verdict.payload) == {"order": "k-1"}
        await eventually(lambda: victim.problems(m) == "", within=30)


async def test_the_id_of_a_letter_taken_elsewhere_costs_no_letter(
    broker: Broker, unique: str
) -> None:
    victim = Victim(unique)
    async with victim.asleep(broker) as control:
        order = await victim.place(control, "letter-1")
        taken = order.cause._replace(handler="refuse").deadletter(0)
        await squat(control, "deadletters.elsewhere.any._", taken)
    async with victim.awake(broker) as m:
        subject = f"deadletters.{unique}-service.refuse.letter-1"
        await stored_on(m, "DEADLETTERS", subject, many=1)
        await m.settled(within=30)
        (letter,) = await m.stored("DEADLETTERS", subject)
        assert letter.headers["Jetmesh-Message"] == "no such order"
        assert victim.stats(m, "refuse").squatted == 1


async def test_a_forged_letter_keeps_the_input_until_it_is_removed(
    broker: Broker, unique: str
) -> None:
    victim = Victim(unique)
    subject = f"deadletters.{unique}-service.refuse.letter-1"
    async with victim.asleep(broker) as control:
        order = await victim.place(control, "letter-1")
        taken = order.cause._replace(handler="refuse").deadletter(0)
        forged = await squat(control, subject, taken)
    async with victim.awake(broker) as m:
        await eventually(lambda: "is forged" in victim.problems(m), within=30)
        await healed(m, victim, forged)
        (letter,) = await stored_on(m, "DEADLETTERS", subject, many=1)
        assert letter.headers["Jetmesh-Message"] == "no such order"
        await m.settled(within=30)
        assert len(await m.stored("DEADLETTERS", subject)) == 1


async def test_the_id_of_a_mark_taken_elsewhere_costs_no_mark(broker: Broker, unique: str) -> None:
    victim = Victim(unique)
    async with victim.asleep(broker) as control:
        first = await victim.place(control, "k-1")
        subject = f"{unique}.verdict.refused.k-1"
        await squat(control, subject, victim.id_of(first, "decide", subject), b'{"order": "k-1"}')
        second = await victim.place(control, "k-1")
        taken = second.cause._replace(handler="decide").refusal()
        await squat(control, "refusals.elsewhere.any._", taken)
    async with victim.awake(broker) as m:
        mark = f"refusals.{unique}-service.decide.k-1"
        await stored_on(m, "REFUSALS", mark, many=1)
        await m.settled(within=30)
        assert len(await m.stored("REFUSALS", mark)) == 1


async def test_an_id_taken_elsewhere_costs_a_publisher_no_event(
    broker: Broker, unique: str
) -> None:
    victim = Victim(unique)
    async with victim.asleep(broker) as control:
        await squat(control, f"{unique}-in.elsewhere", "web:1")
        nats = NatsSettings(url=broker.url)
        async with Publisher(victim.placed, nats=nats, name="web") as publisher:
            stored = await publisher.publish(victim.placed("k-1"), message_id="web:1")
            assert not stored.duplicate
            again = await publisher.publish(victim.placed("k-1"), message_id="web:1")
            assert again.duplicate
            assert again.sequence == stored.sequence


async def test_an_id_taken_elsewhere_costs_no_event_where_nobody_may_look(
    tmp_path: Path, unique: str
) -> None:
    """As who publishes from outside: he may read nothing that others stored."""
    victim = Victim(unique)
    config = tmp_path / "server.conf"
    mine = f"{unique}-in.placed.*"
    config.write_text(
        "authorization { users: [ { user: admin, password: a }, { user: web, password: w, "
        f'permissions: {{ publish: ["{mine}"], subscribe: ["_INBOX.>"] }} }} ] }}'
    )
    with Broker(tmp_path / "store", config=config) as guarded:
        admin = NatsSettings(url=guarded.url, user="admin", password="a")  # noqa: S106 - of a broker for one test
        async with await ControlPlane.connect(admin, name="attacker") as control:
            stream = f"{unique}-in".upper().replace("-", "_")
            await control.api(
                f"STREAM.CREATE.{stream}", {"name": stream, "subjects": [f"{unique}-in.>"]}
            )
            await squat(control, f"{unique}-in.elsewhere", "web:1")
            web = NatsSettings(url=guarded.url, user="web", password="w")  # noqa: S106 - as above
            async with Publisher(victim.placed, nats=web, name="web") as publisher:
                for times in range(3):
                    sent = publisher.publish(victim.placed("k-1"), message_id="web:1")
                    stored = await asyncio.wait_for(sent, 30)
                    assert stored.duplicate is (times > 0)
            found = [each async for each in control.history(stream, [mine])]
            assert len(found) == 1


async def test_a_publisher_waits_for_garbage_in_its_place_to_be_removed(
    broker: Broker, unique: str
) -> None:
    victim = Victim(unique)
    async with victim.asleep(broker) as control:
        forged = await squat(control, f"{unique}-in.placed.k-1", "web:1")
        nats = NatsSettings(url=broker.url)
        async with Publisher(victim.placed, nats=nats, name="web") as publisher:
            told = publisher.publish_nowait(victim.placed("k-1"), message_id="web:1")
            await eventually(lambda: "is forged" in publisher.problem, within=30)
            await control.api(f"STREAM.MSG.DELETE.{forged.stream}", {"seq": forged.sequence})
            stored = await asyncio.wait_for(told, 30)
            assert stored.sequence > forged.sequence


@pytest.mark.parametrize("handler", ["decide", "charge"])
async def test_a_legitimate_repetition_is_silent_and_costs_one_look(
    broker: Broker, unique: str, handler: str
) -> None:
    """A crash came between PubAck and ack of a hundred messages, guarded or not."""
    victim, many = Victim(unique), 100
    effect = {"decide": f"{unique}.verdict.accepted", "charge": f"{unique}.charged"}[handler]
    async with victim.asleep(broker) as control:
        for number in range(many):
            order = await victim.place(control, f"{handler}-{number}")
            subject = f"{effect}.{order.key}"
            ours = victim.id_of(order, handler, subject)
            await squat(control, subject, ours, msgspec.json.encode({"order": order.key}))
    with capture_logs() as said:
        async with victim.awake(broker) as m:
            await m.settled(within=60)
            stats = victim.stats(m, handler)
            assert (stats.repeated, stats.forged, stats.squatted) == (many, 0, 0)
            assert len(await m.stored(victim.stream, f"{effect}.>")) == many
            asked = m.running[victim.service.name]._plane.lookups.asked
            assert asked - many in (0, 1)  # one more sees whether the guard guards (ADR-0032)
            assert await m.stored("REFUSALS", f"refusals.{unique}-service.>") == []
    assert [each for each in said if each["log_level"] not in ("info", "debug")] == []
