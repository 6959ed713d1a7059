"""`ordered=True` together with whatever else a handler may be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, cast

import pytest
from msgspec import Struct

from jetmesh import Later, Retry, Service, event, seconds, state
from jetmesh.operate.up.broker import Broker
from jetmesh.testing import Mesh, eventually, mesh
from tests.integration.test_order import QUICK

pytestmark = pytest.mark.timeout(120)
WITHIN = 40.0
LATER, LIST = cast("Any", Later), cast("Any", list)


class Contracts:
    """Events in a domain of their own; what handlers saw, and who fails once."""

    def __init__(self, unique: str) -> None:
        @event(f"{unique}-in.moved", key="parcel_id")
        class Moved(Struct, frozen=True):
            parcel_id: str
            number: int

        @event(f"{unique}-out.overdue", key="parcel_id")
        class Overdue(Struct, frozen=True):
            parcel_id: str
            number: int

        self.moved, self.overdue = Moved, Overdue
        self.service = Service(f"{unique}-tracking")
        self.seen: list[tuple[str, int]] = []
        self.late: list[tuple[str, int]] = []
        self.failed: set[tuple[str, int]] = set()

    def fail_once(self, moved: Any) -> None:
        """To the lane, so that those behind it leave their durable."""
        at = (moved.parcel_id, moved.number)
        if moved.number == 2 and at not in self.failed:
            self.failed.add(at)
            raise Retry("not yet", after=2.2)
        self.seen.append(at)

    def of(self, key: str) -> list[int]:
        return [number for each, number in self.seen if each == key]

    def on(self, kind: Any, function: Callable[..., Any], /, *types: Any, **about: Any) -> None:
        names = function.__code__.co_varnames[: function.__code__.co_argcount]
        function.__annotations__ = dict(zip((*names, "return"), (kind, *types), strict=True))
        self.service.on(kind, policy=QUICK, ordered=True, **about)(function)

    async def publish(self, running: Mesh) -> None:
        for number in (1, 2, 3, 4):
            for key in ("p-1", "p-2"):
                await running.publish(self.moved(key, number))

    def in_order(self) -> bool:
        return all(self.of(key) == [1, 2, 3, 4] for key in ("p-1", "p-2"))


async def test_a_deadline_rings_when_it_is_due_and_its_event_is_one_of_its_key(
    unique: str, broker: Broker
) -> None:
    """Also of a message that came again, or waited; whoever handles the event in order, does."""
    contracts = Contracts(unique)

    def follow(moved: Any) -> Any:
        contracts.fail_once(moved)
        overdue = contracts.overdue(moved.parcel_id, moved.number)
        return Later(overdue, after=seconds(0.2), name=str(moved.number))

    async def complain(overdue: Any) -> None:
        if overdue.number == 1 and ("late", 1) not in contracts.failed:
            contracts.failed.add(("late", 1))
            raise ValueError("not this time")
        contracts.late.append((overdue.parcel_id, overdue.number))

    contracts.on(contracts.moved, follow, LATER[contracts.overdue])
    contracts.on(contracts.overdue, complain, None)
    async with mesh(contracts.service, url=broker.url) as running:
        await contracts.publish(running)
        await eventually(lambda: len(contracts.late) >= 8, within=WITHIN, what="every deadline")
        assert contracts.in_order()
        await running.settled(within=WITHIN)
        stored = await running.stored(f"{unique.upper()}_OUT", f"{unique}-out.overdue.p-1")
        numbers = [int(each.payload[each.payload.index(b"number") + 8 : -1]) for each in stored]
    assert sorted(numbers) == [1, 2, 3, 4]
    assert [number for key, number in contracts.late if key == "p-1"] == numbers


async def test_a_state_keeps_the_deadlines_of_an_ordered_handler(
    unique: str, broker: Broker
) -> None:
    contracts = Contracts(unique)

    @state(f"{unique}.routes", key="parcel_id")
    class Route(Struct, frozen=True):
        parcel_id: str
        numbers: tuple[int, ...] = ()

    def follow(moved: Any, route: Any) -> Any:
        contracts.fail_once(moved)
        overdue = contracts.overdue(moved.parcel_id, moved.number)
        numbers = (*(route.numbers if route else ()), moved.number)
        later = Later(overdue, after=seconds(0.2), name=str(moved.number))
        return Route(moved.parcel_id, numbers), later

    async def complain(overdue: Any) -> None:
        contracts.late.append((overdue.parcel_id, overdue.number))

    returns = tuple.__class_getitem__((Route, LATER[contracts.overdue]))
    contracts.on(contracts.moved, follow, Route | None, returns, state=Route)
    contracts.on(contracts.overdue, complain, None)
    async with mesh(contracts.service, url=broker.url) as running:
        await contracts.publish(running)
        await eventually(lambda: len(contracts.late) >= 8, within=WITHIN, what="every deadline")
        assert contracts.in_order()
        await running.settled(within=WITHIN)
    assert len(contracts.late) == 8


async def test_a_process_takes_its_steps_in_order(unique: str, broker: Broker) -> None:
    contracts = Contracts(unique)

    @state(f"{unique}.routes", key="parcel_id", steps="step", ends=("done",))
    class Route(Struct, frozen=True):
        parcel_id: str
        step: Literal["moving", "done"]
        numbers: tuple[int, ...] = ()

    def follow(moved: Any, route: Any) -> Any:
        contracts.fail_once(moved)
        numbers = (*(route.numbers if route else ()), moved.number)
        step: Any = "done" if moved.number == 4 else "moving"
        late = Later(contracts.overdue(moved.parcel_id, moved.number), after=seconds(60))
        return Route(moved.parcel_id, step, numbers), late

    def expire(overdue: Any, route: Any) -> Any:
        return Route(overdue.parcel_id, "done", route.numbers)

    returns = tuple.__class_getitem__((Route, LATER[contracts.overdue]))
    moves = {None: "moving", "moving": ("moving", "done")}
    contracts.on(
        contracts.moved, follow, Route | None, returns, state=Route, moves=moves, otherwise="reject"
    )
    expiring = {"moving": "done"}
    contracts.on(
        contracts.overdue, expire, Route, Route, state=Route, moves=expiring, otherwise="ignore"
    )
    async with mesh(contracts.service, url=broker.url) as running:
        await contracts.publish(running)
        await eventually(contracts.in_order, within=WITHIN, what="every step")
        await running.settled(within=WITHIN)
        stored = await running.stored(f"STATES_{unique.upper()}_ROUTES")
    assert [b'"numbers":[1,2,3,4]' in each.payload for each in stored] == [True] * 2


@pytest.mark.parametrize("is_async", [True, False], ids=["async def", "def"])
async def test_a_decision_and_whoever_loses_it_are_of_the_line(
    unique: str,
    broker: Broker,
    is_async: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """The first of a key decides, every other one loses, reacts, and the next one begins."""
    contracts = Contracts(unique)
    about: dict[str, Any] = {"key": "parcel_id", "decision": f"{unique}.verdict.*", "race": True}

    @event(f"{unique}.verdict.taken", **about)
    class Taken(Struct, frozen=True):
        parcel_id: str
        number: int

    @event(f"{unique}-out.refused", key="parcel_id")
    class Refused(Struct, frozen=True):
        parcel_id: str
        number: int

    lost: list[tuple[str, int]] = []

    async def take(moved: Any) -> Any:
        contracts.fail_once(moved)
        return Taken(moved.parcel_id, moved.number)

    def decide(moved: Any) -> Any:
        contracts.fail_once(moved)
        return Taken(moved.parcel_id, moved.number)

    def react(mine: Any, stored: Any, moved: Any) -> Any:
        at = (moved.parcel_id, moved.number)
        if moved.number == 3 and at not in contracts.failed:
            contracts.failed.add(at)
            raise Retry("the desk is closed", after=2.2)
        lost.append(at)
        return Refused(*at)

    handler = take if is_async else decide
    contracts.on(contracts.moved, handler, Taken)
    react.__annotations__ = {
        "mine": Taken | None,
        "stored": Taken,
        "moved": contracts.moved,
        "return": Refused,
    }
    contracts.service.lost(handler)(react)
    async with mesh(contracts.service, url=broker.url) as running:
        await contracts.publish(running)
        await eventually(lambda: len(lost) >= 6, within=WITHIN, what="all but the first lose")
        await running.settled(within=WITHIN)
        verdicts = await running.stored(unique.upper(), f"{unique}.verdict.>")
    assert [b'"number":1' in each.payload for each in verdicts] == [True] * 2
    for key in ("p-1", "p-2"):
        assert [number for each, number in lost if each == key] == [2, 3, 4]
