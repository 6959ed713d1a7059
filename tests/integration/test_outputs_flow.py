"""Several outputs of one input: the decision first, the rest only if it is ours, nothing lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

import httpx
import msgspec
import pytest
from msgspec import Struct

from jetmesh import Policy, Service, derive, event
from jetmesh.declare import Duration
from jetmesh.operate.up.broker import Broker
from jetmesh.runtime.message.consumer import Consumer
from jetmesh.runtime.message.metrics import HandlerStats
from jetmesh.testing import Mesh, eventually, mesh
from jetmesh.transport.provision import apply, plan

BOTH = pytest.mark.parametrize("kind", ["def", "async def"])
GUARD = "Nats-Expected-Last-Subject-Sequence"


@dataclass
class Shop:
    """A service that decides an order and notes it, on a running mesh."""

    m: Mesh
    domain: str
    service: Service
    placed: Any
    accepted: Any
    noted: Any

    @property
    def consumer(self) -> Consumer:
        return self.m.running[self.service.name].consumers[0]

    @property
    def stats(self) -> HandlerStats:
        return self.consumer.stats

    async def decisions(self) -> list[Any]:
        return await self.m.stored(self.domain.upper())

    async def notes(self) -> list[Any]:
        return await self.m.stored(f"{self.domain.upper()}_LOG")

    async def letters(self) -> list[Any]:
        return await self.m.stored("DEADLETTERS", f"deadletters.{self.service.name}.>")

    async def marks(self) -> list[Any]:
        return await self.m.stored("REFUSALS", f"refusals.{self.service.name}.>")

    async def decided_before(self, message_id: str) -> None:
        """Store an outcome of p-1 as somebody, or this service before it died, would have."""
        headers = {"Nats-Msg-Id": message_id, GUARD: "0"}
        headers[f"{GUARD}-Subject"] = f"{self.domain}.*.p-1"
        await self.m.publish(f"{self.domain}.accepted.p-1", '{"order_id":"p-1"}', headers)

    def own_id(self, sequence: int) -> str:
        cause = f"{self.domain.upper()}_IN:{sequence}"
        return f"{self.service.name}:decide:{cause}:{self.domain}.accepted.p-1"


Returns = Callable[[Any, Any, Any], Any]


@asynccontextmanager
async def shop(
    broker: Broker, domain: str, returns: Returns, *, kind: str = "def"
) -> AsyncIterator[Shop]:
    @event(f"{domain}-in.placed", key="order_id")
    class Placed(Struct, frozen=True):
        order_id: str

    @event(f"{domain}.accepted", key="order_id", decision=f"{domain}.*")
    class Accepted(Struct, frozen=True):
        order_id: str

    @event(f"{domain}-log.noted", key="note_id")
    class Noted(Struct, frozen=True):
        note_id: str
        text: Any = ""

    service = Service(f"{domain}-service")
    policy = Policy(attempts=2, backoff=Duration(0.02), timeout=Duration(1), ack_wait=Duration(1))
    if kind == "async def":

        @service.on(Placed, policy=policy, name="decide")
        async def decide_later(placed: Placed) -> list[Accepted | Noted] | None:
            await asyncio.sleep(0)
            result: list[Accepted | Noted] | None = returns(placed.order_id, Accepted, Noted)
            return result
    else:

        @service.on(Placed, policy=policy)
        def decide(placed: Placed) -> list[Accepted | Noted] | None:
            result: list[Accepted | Noted] | None = returns(placed.order_id, Accepted, Noted)
            return result

    async with mesh(service, url=broker.url) as m:
        yield Shop(m, domain, service, Placed, Accepted, Noted)


def both(order_id: str, accepted: Any, noted: Any) -> Any:
    return [noted(f"{order_id}-a"), accepted(order_id), noted(f"{order_id}-b")]


@BOTH
async def test_the_rest_is_published_after_the_decision(
    broker: Broker, unique: str, kind: str
) -> None:
    async with shop(broker, unique, both, kind=kind) as s:
        await s.m.publish(s.placed("p-1"))
        await s.m.settled()
        (decision,) = await s.decisions()
        notes = await s.notes()
        assert [note.subject for note in notes] == [
            f"{unique}-log.noted.p-1-a",
            f"{unique}-log.noted.p-1-b",
        ]
        assert all(note.stored_at > decision.stored_at for note in notes)
        assert s.stats.published == 3


@BOTH
async def test_nothing_follows_a_decision_that_another_made(
    broker: Broker, unique: str, kind: str
) -> None:
    async with shop(broker, unique, both, kind=kind) as s:
        await s.decided_before(s.own_id(sequence=4711))
        await s.m.publish(s.placed("p-1"))
        await s.m.settled()
        assert len(await s.decisions()) == 1
        assert await s.notes() == []
        assert s.stats.refused == 1
        (mark,) = await s.marks()
        told = msgspec.json.decode(mark.payload)
        assert (told["stream"], told["sequence"]) == (f"{unique.upper()}_IN", 1)
        assert told["stored"]["message_id"] == s.own_id(sequence=4711)


@BOTH
async def test_a_service_that_died_between_decision_and_rest_publishes_the_rest(
    broker: Broker, unique: str, kind: str
) -> None:
    async with shop(broker, unique, both, kind=kind) as s:
        await s.decided_before(s.own_id(sequence=1))
        await s.m.publish(s.placed("p-1"))
        await s.m.settled()
        assert len(await s.decisions()) == 1
        assert len(await s.notes()) == 2
        assert s.stats.repeated == 1
        assert await s.marks() == []


@BOTH
async def test_a_decision_that_is_stored_by_the_same_cause_is_acknowledged(
    broker: Broker, unique: str, kind: str
) -> None:
    async with shop(broker, unique, lambda key, made, _: made(key), kind=kind) as s:
        await s.decided_before(s.own_id(sequence=1))
        await s.m.publish(s.placed("p-1"))
        await s.m.settled()
        assert len(await s.decisions()) == 1
        assert (s.stats.acked, s.stats.repeated, s.stats.refused) == (1, 1, 0)
        assert await s.marks() == []
        assert await s.letters() == []


async def test_an_output_without_a_stream_is_sent_until_there_is_one(
    broker: Broker, unique: str
) -> None:
    """Beyond its ack_wait of one second too: the delivery is kept alive, and not run twice."""
    async with shop(broker, unique, both) as s:
        await s.m.control.api(f"STREAM.DELETE.{unique.upper()}_LOG")
        await s.m.publish(s.placed("p-1"))
        begun = monotonic()
        plane = s.m.running[s.service.name]._plane
        await eventually(lambda: plane.publishes.resent > 2, what="sent again")
        await eventually(lambda: monotonic() - begun > 2.5, what="two ack_waits")
        assert s.stats.delivered == 1
        assert len(s.consumer.in_flight) == 1
        async with httpx.AsyncClient(trust_env=False) as client:
            url = f"{s.m.running[s.service.name].http.url}/readyz"

            async def says_why() -> bool:
                answer = await client.get(url)
                return answer.status_code == 503 and "publishing: " in answer.text

            await eventually(says_why, what="not ready")
        await apply(s.m.control, await plan(s.m.control, derive([s.service])))
        await s.m.expect(s.noted, "p-1-b")
        await s.m.settled()
        assert len(await s.notes()) == 2
        assert (s.stats.delivered, s.stats.acked) == (1, 1)


async def test_an_output_that_is_too_large_is_a_dead_letter_and_others_flow_on(
    broker: Broker, unique: str
) -> None:
    def returns(order_id: str, accepted: Any, noted: Any) -> Any:
        if order_id == "large":
            return [noted("n-1", "x" * 1_100_000), noted("n-2", "x" * 1_100_000), noted("n-3")]
        return accepted(order_id)

    async with shop(broker, unique, returns) as s:
        await s.m.publish(s.placed("large"))
        await s.m.publish(s.placed("p-1"))
        await s.m.expect(s.accepted, "p-1")
        await s.m.settled()
        (letter,) = await s.letters()
        assert letter.headers["Jetmesh-Error"] == "Reject"
        assert "max_payload" in letter.headers["Jetmesh-Message"]
        assert letter.headers["Jetmesh-Attempts"] == "1"
        assert letter.payload == b'{"order_id":"large"}'
        assert (s.stats.dead, s.stats.failed, s.stats.acked) == (1, 1, 1)


async def test_a_dead_letter_that_is_too_large_is_stored_without_its_payload(
    broker: Broker, unique: str
) -> None:
    async with shop(broker, unique, both) as s:
        await s.m.publish(f"{unique}-in.placed", b"x" * ((1 << 20) - 100))
        await s.m.settled()
        (letter,) = await s.letters()
        assert letter.payload == b""
        assert letter.headers["Jetmesh-Payload"] == "left in its stream"
        stream, sequence = letter.headers["Jetmesh-Stream"], letter.headers["Jetmesh-Sequence"]
        original = await s.m.control.message(stream, int(sequence))
        assert original is not None
        assert len(original.payload) == (1 << 20) - 100
        assert s.stats.dead == 1


async def test_outputs_of_which_one_is_wrong_are_not_published_at_all(
    broker: Broker, unique: str
) -> None:
    def returns(key: str, accepted: Any, noted: Any) -> Any:
        return [accepted(key), *wrong[key][0](noted)]

    wrong: dict[str, tuple[Callable[[Any], list[Any]], str]] = {
        "empty-key": (lambda noted: [noted("")], "ContractViolation"),
        "same-id": (lambda noted: [noted("n"), noted("n")], "ConflictingOutputs"),
        "undeclared": (lambda _: ["text"], "UndeclaredOutput"),
    }
    async with shop(broker, unique, returns) as s:
        for key in wrong:
            await s.m.publish(s.placed(key))
        await s.m.settled()
        letters = {
            letter.subject.rpartition(".")[2]: letter.headers["Jetmesh-Error"]
            for letter in await s.letters()
        }
        assert letters == {key: error for key, (_, error) in wrong.items()}
        assert {letter.headers["Jetmesh-Attempts"] for letter in await s.letters()} == {"1"}
        assert await s.decisions() == []
        assert await s.notes() == []


async def test_a_rest_that_cannot_be_encoded_is_a_dead_letter_and_keeps_the_connection(
    broker: Broker, unique: str
) -> None:
    async with shop(broker, unique, lambda key, made, noted: [made(key), noted(key, all)]) as s:
        await s.m.publish(s.placed("p-1"))
        (letter,) = await eventually(s.letters, what="a dead letter")
        assert letter.headers["Jetmesh-Error"] == "TypeError"
        await s.m.settled()
        assert len(await s.decisions()) == 1
        assert s.m.running[s.service.name]._plane.reconnects == 0


@BOTH
async def test_a_tuple_with_none_and_a_generator_are_outputs_too(
    broker: Broker, unique: str, kind: str
) -> None:
    def returns(key: str, accepted: Any, noted: Any) -> Any:
        if key == "tuple":
            return (accepted(key), None, noted(key))
        return (each for each in (accepted(key), noted(key)))

    async with shop(broker, unique, returns, kind=kind) as s:
        for key in ("tuple", "generator"):
            await s.m.publish(s.placed(key))
            await s.m.expect(s.noted, key)
        await s.m.settled()
        assert len(await s.decisions()) == 2
        assert s.stats.acked == 2


async def test_nothing_to_say_is_an_ack(broker: Broker, unique: str) -> None:
    nothing: dict[str, Any] = {"none": None, "list": [], "list-of-none": [None]}
    async with shop(broker, unique, lambda key, *_: nothing[key]) as s:
        for key in nothing:
            await s.m.publish(s.placed(key))
        await s.m.settled()
        assert (s.stats.acked, s.stats.published, s.stats.dead) == (3, 0, 0)
