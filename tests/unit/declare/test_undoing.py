"""A process that undoes what was done: all of it, the last first, told at import otherwise."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from msgspec import Struct, defstruct

from jetmesh import Service, derive, event, state
from jetmesh.errors import DeclarationError, TopologyError


class Trip(Struct, frozen=True):
    trip_id: str


def event_of(subject: str, **how: Any) -> Any:
    made = defstruct(subject.title().replace(".", ""), [("trip_id", str)], frozen=True)
    return event(subject, key="trip_id", **how)(made)


class Travel:
    """A flight is booked, then a hotel; what fails is undone."""

    def __init__(self, flight_undone: Any = None, hotel_undone: Any = None) -> None:
        self.wanted = event_of("trips.wanted")
        self.cancel_flight = event_of("flights.cancel")
        self.cancel_hotel = event_of("hotels.cancel")
        undo = self.cancel_flight if flight_undone is None else flight_undone
        self.flight = event_of("flights.booked", undone_by=undo)
        undo = self.cancel_hotel if hotel_undone is None else hotel_undone
        self.hotel = event_of("hotels.booked", undone_by=undo)
        self.failed = event_of("trips.failed", undone_by="nobody did anything")
        self.flight_gone = event_of("flights.cancelled")
        self.hotel_gone = event_of("hotels.cancelled")
        fields: list[Any] = [("trip_id", str), ("step", Literal[*STEPS])]
        made = defstruct("Booking", fields, frozen=True)
        forever = dict.fromkeys(STEPS[:-2], "a test")
        self.booking: Any = state(
            "trips.bookings",
            key="trip_id",
            steps="step",
            ends=("booked",),
            undone=("cancelled",),
            forever=forever,
        )(made)
        self.trips = Service("trips")
        self.agency = Service("agency")

    def on(self, takes: Any, moves: dict[Any, Any], *outputs: Any) -> None:
        def handle(event: Any, known: Any) -> Any:
            raise NotImplementedError

        returns = tuple.__class_getitem__((self.booking, *outputs))
        handle.__annotations__ = {
            "event": takes,
            "known": self.booking | None,
            "return": returns,
        }
        handle.__name__ = f"on_{takes.__name__.lower()}"
        how = {"state": self.booking, "moves": moves, "otherwise": "ignore", "cycle": True}
        self.trips.on(takes, **how)(handle)

    def does(self, takes: Any, makes: Any) -> None:
        """Somebody does something in the world."""

        async def act(event: Any) -> Any:
            raise NotImplementedError

        act.__annotations__ = {"event": takes, "return": makes}
        self.agency.on(takes, name=f"act-{takes.__name__.lower()}", cycle=True)(act)

    def book(self) -> None:
        self.on(self.wanted, {None: "flight"})
        self.on(self.flight, {"flight": "hotel"})
        self.on(self.hotel, {"hotel": "paying"})
        self.does(self.wanted, self.flight)
        self.does(self.flight, self.hotel)

    def undo(self) -> None:
        moves = {"paying": ("no_hotel", "booked"), "hotel": "no_flight", "flight": "cancelled"}
        self.on(self.failed, moves, self.cancel_hotel, self.cancel_flight)
        self.on(self.hotel_gone, {"no_hotel": "no_flight"}, self.cancel_flight)
        self.on(self.flight_gone, {"no_flight": "cancelled"})
        self.does(self.cancel_hotel, self.hotel_gone)
        self.does(self.cancel_flight, self.flight_gone)

    def problems(self) -> str:
        with pytest.raises(TopologyError) as told:
            derive([self.trips, self.agency])
        return str(told.value)


STEPS = ("flight", "hotel", "paying", "no_hotel", "no_flight", "booked", "cancelled")


def test_what_is_undone_the_last_first_is_sound() -> None:
    travel = Travel()
    travel.book()
    travel.undo()
    derive([travel.trips, travel.agency])


def test_an_effect_that_nothing_undoes_is_told_with_who_had_it() -> None:
    travel = Travel(hotel_undone="")
    travel.book()
    travel.undo()
    assert (
        "HotelsBooked tells of an effect (agency.act-flightsbooked), and nothing undoes it on the "
        "way to 'cancelled' of trips.bookings; write undone_by="
    ) in travel.problems()


def test_an_effect_that_needs_no_undoing_says_why() -> None:
    travel = Travel(hotel_undone="it is paid at the desk, and lapses")
    travel.book()
    travel.on(travel.failed, {"paying": "no_flight", "hotel": "no_flight"}, travel.cancel_flight)
    travel.on(travel.flight_gone, {"no_flight": ("cancelled", "booked", "no_hotel")})
    travel.on(travel.hotel_gone, {"no_hotel": "cancelled"})
    derive([travel.trips, travel.agency])


def test_a_way_to_the_end_on_which_something_is_not_undone_is_told() -> None:
    travel = Travel()
    travel.book()
    travel.on(travel.failed, {"paying": "no_hotel", "hotel": "no_flight"}, travel.cancel_hotel)
    travel.on(travel.hotel_gone, {"no_hotel": ("no_flight", "booked")})
    travel.on(travel.flight_gone, {"no_flight": "cancelled"})
    assert (
        "a way leads to the end 'cancelled' of trips.bookings on which FlightsBooked is not "
        "undone; have a handler on it return FlightsCancel."
    ) in travel.problems()


def test_what_came_later_is_undone_first() -> None:
    travel = Travel()
    travel.book()
    travel.on(travel.failed, {"paying": "no_flight", "hotel": "booked"}, travel.cancel_flight)
    travel.on(travel.flight_gone, {"no_flight": "no_hotel"}, travel.cancel_hotel)
    travel.on(travel.hotel_gone, {"no_hotel": "cancelled"})
    assert (
        "on_tripsfailed undoes FlightsBooked before HotelsBooked, which came later; undo the last "
        "first, with HotelsCancel."
    ) in travel.problems()


@pytest.mark.parametrize("undo", [int, " ", Trip])
def test_only_an_event_or_a_reason_undoes(undo: Any) -> None:
    with pytest.raises(DeclarationError, match="is undone by no event"):
        event_of("trips.odd", undone_by=undo)
