"""Messages of one key, one after another, on a real broker: what fails, waits, and goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
from msgspec import Struct
from msgspec.structs import replace

from jetmesh import Policy, Reject, Retry, Service, derive, event
from jetmesh.declare import Duration
from jetmesh.operate.deadletters.desk import Desk
from jetmesh.operate.order import behind
from jetmesh.operate.trace import trace
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.cursors import Cursor, cursor_of
from jetmesh.testing import Mesh, eventually, mesh

QUICK = Policy(
    attempts=3,
    backoff=Duration(0.01),
    backoff_cap=Duration(0.02),
    timeout=Duration(2),
    ack_wait=Duration(3),
)


class Parcels:
    """Events in a domain of their own, and an ordered handler that keeps what it saw."""

    def __init__(self, unique: str, **about: Any) -> None:
        @event(f"{unique}-in.moved", key="parcel_id")
        class Moved(Struct, frozen=True):
            parcel_id: str
            number: int

        self.moved: Any = Moved
        self.domain = unique
        self.service = Service(f"{unique}-tracking")
        self.seen: list[tuple[str, int]] = []
        self.begun: list[tuple[str, int]] = []
        self.before: Callable[[Any], Any] = lambda _: None
        self._declare({"policy": QUICK, "ordered": True, **about})

    def _declare(self, about: dict[str, Any]) -> None:
        async def follow(moved: Any) -> None:
            self.begun.append((moved.parcel_id, moved.number))
            waiting = self.before(moved)
            if waiting is not None:
                await waiting
            self.seen.append((moved.parcel_id, moved.number))

        follow.__annotations__ = {"moved": self.moved, "return": None}
        self.service.on(self.moved, **about)(follow)

    def of(self, key: str) -> list[int]:
        return [number for each, number in self.seen if each == key]

    async def publish(self, running: Mesh, key: str, *numbers: int) -> None:
        for number in numbers:
            await running.publish(self.moved(key, number))

    @property
    def stream(self) -> str:
        return f"{self.domain.upper()}_IN"

    async def cursor(self, running: Mesh, key: str) -> Cursor:
        subject = f"cursors.{self.service.name}.follow.{key}"
        stored = await running.control.last(f"CURSORS_{self.service.name}", subject)
        return cursor_of(stored.payload) if stored else Cursor()


async def test_messages_of_a_key_are_handled_as_they_were_stored(
    unique: str, broker: Broker
) -> None:
    parcels = Parcels(unique)
    parcels.before = lambda moved: asyncio.sleep(0.2 if moved.number % 5 == 1 else 0)
    async with mesh(parcels.service, url=broker.url) as running:
        for number in range(1, 21):
            for key in range(10):
                await parcels.publish(running, f"p-{key}", number)
        await eventually(lambda: len(parcels.seen) >= 200, within=30, what="all are handled")
        await running.settled()
    for key in range(10):
        assert parcels.of(f"p-{key}") == [*range(1, 21)]


async def test_a_message_that_fails_has_those_behind_it_wait_and_no_others(
    unique: str, broker: Broker
) -> None:
    parcels = Parcels(unique)
    failures: list[Any] = []

    def fail(moved: Any) -> None:
        if moved.parcel_id == "p-1" and moved.number == 1 and len(failures) < 2:
            failures.append(moved)
            raise Retry(after=1.0, counts=False) if len(failures) == 1 else ValueError("again")

    parcels.before = fail
    async with mesh(parcels.service, url=broker.url) as running:
        await parcels.publish(running, "p-1", 1, 2, 3)
        await parcels.publish(running, "p-2", 1, 2, 3)
        await eventually(lambda: parcels.of("p-2") == [1, 2, 3], what="others flow")
        await eventually(lambda: parcels.of("p-1") == [1, 2, 3], within=20, what="it goes on")
        await running.settled(within=20)


async def test_what_is_behind_a_letter_waits_until_it_is_replayed(
    unique: str, broker: Broker
) -> None:
    parcels = Parcels(unique)
    fails = True

    def fail(moved: Any) -> None:
        if fails and moved.number == 1:
            raise Reject("no such parcel")

    parcels.before = fail
    async with mesh(parcels.service, url=broker.url) as running:
        await parcels.publish(running, "p-1", 1, 2, 3)
        letter = await eventually(lambda: letter_of(running, parcels), what="a letter")
        await eventually(lambda: nothing_pending(running, parcels), what="nothing pending")
        await parcels.publish(running, "p-1", 4)
        await parcels.publish(running, "p-2", 2)
        await eventually(lambda: parcels.of("p-2") == [2], what="others flow")
        await eventually(lambda: nothing_pending(running, parcels), what="nothing pending")
        assert parcels.of("p-1") == []
        cursor = await parcels.cursor(running, "p-1")
        assert cursor.is_open
        assert cursor.away is not None
        fails = False
        desk = Desk(running.control, by="test")
        await desk.send(await desk.prepare(await desk.open(letter)))
        await eventually(lambda: parcels.of("p-1") == [1, 2, 3, 4], what="it goes on")
        await running.settled(within=20)


async def letter_of(running: Mesh, parcels: Parcels) -> int:
    letters = await running.stored("DEADLETTERS", f"deadletters.{parcels.service.name}.*.*")
    return letters[-1].sequence if letters else 0


async def nothing_pending(running: Mesh, parcels: Parcels) -> bool:
    info = await running.control.api(
        f"CONSUMER.INFO.{parcels.stream}.{parcels.service.name}-follow"
    )
    return not info["num_pending"] and not info["num_ack_pending"]


async def test_what_is_behind_a_letter_goes_on_once_it_is_dropped(
    unique: str, broker: Broker
) -> None:
    parcels = Parcels(unique)

    def fail(moved: Any) -> None:
        if moved.number == 1:
            raise Reject("no such parcel")

    parcels.before = fail
    async with mesh(parcels.service, url=broker.url) as running:
        await parcels.publish(running, "p-1", 1, 2, 3)
        number = await eventually(lambda: letter_of(running, parcels), what="a letter")
        await eventually(lambda: nothing_pending(running, parcels), what="nothing pending")
        desk = Desk(running.control, by="test")
        letter = await desk.open(number)
        await eventually(lambda: note_of(running), within=20, what="a note")
        assert await behind(running.control, letter) == "2 messages of its key wait behind it"
        topology = derive([parcels.service], audited=False)
        story = {step.id: step for step in await trace(running.control, topology, "p-1")}
        stream = parcels.stream
        waits = f"{unique}-tracking.follow handles it behind {stream}:1, which failed"
        assert story[f"{stream}:2"].waits == story[f"{stream}:3"].waits == (waits,)
        outcome = await desk.drop(letter)
        assert outcome.text == f"{letter.id} was dropped. 2 messages behind it can go on."
        await eventually(lambda: parcels.of("p-1") == [2, 3], what="it goes on")
        await running.settled(within=20)
        assert parcels.begun.count(("p-1", 1)) == 1


async def note_of(running: Mesh) -> str:
    (service,) = running.running.values()
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{service.http.health_url}/readyz")
        metrics = await client.get(f"{service.http.health_url}/metrics")
    assert answer.status_code == 200
    says = (
        f"1 key of {service.consumers[0].handler.service}.follow waits behind messages that failed"
    )
    if 'parked{handler="follow",service="' not in metrics.text:
        return ""
    return answer.text if says in answer.text and "with 2 more" in answer.text else ""


async def test_more_wait_behind_one_than_may_be_pending_and_other_keys_flow(
    unique: str, broker: Broker
) -> None:
    """Behind one that runs, and then behind its letter."""
    few = Policy(attempts=1, timeout=Duration(20), ack_wait=Duration(20), max_ack_pending=16)
    parcels = Parcels(unique, policy=replace(few, concurrency=8))
    ends = asyncio.Event()

    async def hang() -> None:
        await ends.wait()
        raise Reject("no such parcel")

    parcels.before = lambda moved: hang() if moved == parcels.moved("p-1", 1) else None
    async with mesh(parcels.service, url=broker.url) as running:
        await parcels.publish(running, "p-1", *range(1, 101))
        await parcels.publish(running, "p-2", *range(1, 21))
        await eventually(lambda: parcels.of("p-2") == [*range(1, 21)], within=20, what="others")
        assert parcels.of("p-1") == []
        ends.set()
        letter = await eventually(lambda: letter_of(running, parcels), what="a letter")
        await parcels.publish(running, "p-3", *range(1, 21))
        await eventually(lambda: parcels.of("p-3") == [*range(1, 21)], within=20, what="others")
        await eventually(lambda: nothing_pending(running, parcels), what="nothing pending")
        await Desk(running.control, by="test").drop(
            await Desk(running.control, by="test").open(letter)
        )
        rest = [*range(2, 101)]
        await eventually(lambda: parcels.of("p-1") == rest, within=30, what="it goes on")
