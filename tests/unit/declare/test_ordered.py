"""Handlers that keep the order of a key: what is derived from that, and where there is none."""

from __future__ import annotations

import pytest
from msgspec import Struct

from jetmesh import Service, derive, event
from jetmesh.declare import permissions_of
from jetmesh.errors import DeclarationError, TopologyError
from jetmesh.operate.graph import render


@event("parcels.ordered", key="id")
class Ordered(Struct, frozen=True):
    id: str


@event("parcels.moved", key="id")
class Moved(Struct, frozen=True):
    id: str


@event("weather.changed")
class Changed(Struct, frozen=True):
    id: str


def shipping() -> Service:
    service = Service("shipping")

    @service.on(Ordered)
    def ship(event: Ordered) -> Moved:
        return Moved(event.id)

    return service


def tracking() -> Service:
    service = Service("tracking")

    @service.on(Moved, ordered=True)
    async def follow(event: Moved) -> None: ...

    return service


def test_an_event_without_a_key_has_no_order_that_a_handler_could_keep() -> None:
    service = Service("tracking")

    async def follow(event: Changed) -> None: ...

    with pytest.raises(DeclarationError, match="Changed has no key"):
        service.on(Changed, ordered=True)(follow)


def test_an_event_from_outside_has_no_order_that_a_handler_could_keep() -> None:
    with pytest.raises(TopologyError, match=r"'parcels\.moved' comes from outside"):
        derive([tracking()])
    letting_in = tracking()
    letting_in.publishes(Moved)
    with pytest.raises(TopologyError, match=r"'parcels\.moved' comes from outside"):
        derive([letting_in], audited=False)
    derive([shipping(), tracking()])


def test_a_service_alone_does_not_know_who_makes_its_events() -> None:
    derive([tracking()], audited=False)


def test_the_cursors_of_a_service_have_a_stream_with_one_message_for_each_key() -> None:
    streams = {each.name: each for each in derive([shipping(), tracking()]).streams}
    cursors = streams["CURSORS_tracking"]
    assert (cursors.subjects, cursors.history) == (("cursors.tracking.>",), 1)
    assert cursors.section == "LANES"
    assert "CURSORS_shipping" not in streams


def test_an_ordered_handler_may_ask_which_message_is_next_and_write_its_own_cursors_alone() -> None:
    asked = set(permissions_of(tracking(), inbox_prefix="_INBOX").publish)
    plain = tracking()
    plain.handlers.clear()
    plain.on(Moved)(follow_moved)
    assert asked - set(permissions_of(plain, inbox_prefix="_INBOX").publish) >= {
        "cursors.tracking.>",
        "$JS.API.DIRECT.GET.PARCELS",
        "$JS.API.STREAM.MSG.GET.CURSORS_tracking",
        "$JS.API.STREAM.INFO.CURSORS_tracking",
    }


def test_the_domain_of_cursors_belongs_to_the_mesh() -> None:
    service = Service("thief")

    @event("cursors.tracking.follow", key="id")
    class Forged(Struct, frozen=True):
        id: str

    @service.on(Ordered)
    def forge(event: Ordered) -> Forged:
        return Forged(event.id)

    with pytest.raises(TopologyError, match="belongs to the mesh"):
        derive([service])


def test_the_topology_says_in_the_policy_of_a_handler_that_it_keeps_order() -> None:
    text = render(derive([shipping(), tracking()]))
    assert "up to 20s each, in order within each key" in text
    assert text.count("in order") == 1


async def follow_moved(event: Moved) -> None: ...
