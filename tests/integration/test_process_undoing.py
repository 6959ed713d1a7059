"""A trip that fails is undone in reverse: each undoing by its own handler and policy, to an end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Literal

import msgspec
from msgspec import Struct

from jetmesh import Policy, Service, event, state
from jetmesh.declare import Duration
from jetmesh.operate.up.broker import Broker
from jetmesh.testing import Mesh, eventually, mesh

FAILS = 3
PATIENT = Policy(attempts=FAILS + 2, backoff=Duration(0.01), backoff_cap=Duration(0.02))


def shop(unique: str, done: list[str]) -> tuple[Any, Service, Service]:
    """A flight and a hotel are booked, then it fails; cancelling a hotel takes some attempts."""

    def made(name: str, **how: Any) -> Any:
        found = msgspec.defstruct(name.title(), [("trip_id", str)], frozen=True)
        return event(f"{unique}-{name}.told", key="trip_id", **how)(found)

    wanted, hotel_wanted, failed = (
        made("wanted"),
        made("rooms"),
        made("failed", undone_by="nothing"),
    )
    cancel_flight, cancel_hotel = made("noflight"), made("noroom")
    flight, hotel = made("flight", undone_by=cancel_flight), made("room", undone_by=cancel_hotel)
    flight_gone, hotel_gone = made("flightgone"), made("roomgone")

    @state(
        f"{unique}.trips",
        key="trip_id",
        steps="step",
        undone=("cancelled",),
        forever=dict.fromkeys(("flight", "hotel", "paying", "no_hotel", "no_flight"), "a test"),
    )
    class Trip(Struct, frozen=True):
        trip_id: str
        step: Literal["flight", "hotel", "paying", "no_hotel", "no_flight", "cancelled"]

    trips, agency = Service(f"{unique}-trips"), Service(f"{unique}-agency")

    def on(takes: Any, before: str | None, after: str, makes: Any = None) -> None:
        def move(given: Any, _: Any) -> Any:
            return Trip(given.trip_id, after), makes(given.trip_id) if makes else None  # type: ignore[arg-type] # as one of its steps

        returns = tuple[Trip, makes] if makes else tuple[Trip, None]
        move.__annotations__ = {"given": takes, "_": Trip | None, "return": returns}
        name = f"to-{after}".replace("_", "-")
        how: dict[str, Any] = {"state": Trip, "moves": {before: after}, "otherwise": "reject"}
        trips.on(takes, name=name, cycle=True, **how)(move)

    on(wanted, None, "flight")
    on(flight, "flight", "hotel", hotel_wanted)
    on(hotel, "hotel", "paying")
    on(failed, "paying", "no_hotel", cancel_hotel)
    on(hotel_gone, "no_hotel", "no_flight", cancel_flight)
    on(flight_gone, "no_flight", "cancelled")
    does = agent(agency, done)
    does(wanted, flight, "book flight")
    does(hotel_wanted, hotel, "book hotel")
    does(cancel_hotel, hotel_gone, "cancel hotel")
    does(cancel_flight, flight_gone, "cancel flight")
    return (wanted, failed, Trip), trips, agency


def agent(agency: Service, done: list[str]) -> Callable[[Any, Any, str], None]:
    """Somebody who does something in the world, for each kind of event."""
    tries = Counter[str]()

    def does(takes: Any, makes: Any, what: str) -> None:
        async def act(given: Any) -> Any:
            tries[what] += 1
            if what == "cancel hotel" and tries[what] <= FAILS:
                raise ValueError("the desk is closed")
            done.append(what)
            return makes(given.trip_id)

        act.__annotations__ = {"given": takes, "return": makes}
        agency.on(takes, name=what.replace(" ", "-"), policy=PATIENT, cycle=True)(act)

    return does


async def test_what_was_done_is_undone_the_last_first_to_a_visible_end(
    unique: str, broker: Broker
) -> None:
    done: list[str] = []
    (wanted, failed, _), trips, agency = shop(unique, done)

    async def step(m: Mesh) -> str:
        stream = f"STATES_{unique.upper()}_TRIPS"
        found = await m.control.last(stream, f"states.{unique}.trips.t-1")
        return str(msgspec.json.decode(found.payload)["step"]) if found else ""

    async with mesh(trips, agency, url=broker.url) as m:

        async def there(wanted_step: str) -> None:
            async def stands() -> bool:
                return await step(m) == wanted_step

            await eventually(stands, within=30, what=wanted_step)

        await m.publish(wanted("t-1"))
        await there("paying")
        await m.publish(failed("t-1"))
        await there("cancelled")
        assert done == ["book flight", "book hotel", "cancel hotel", "cancel flight"]
        assert await m.stored("DEADLETTERS", f"deadletters.{unique}-agency.>") == []
