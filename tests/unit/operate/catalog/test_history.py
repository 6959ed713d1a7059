"""The versions of an event on its page: released ones, what each changed, what is declared."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from msgspec import Meta, Struct

from jetmesh import Service, System, derive, event, upcasts
from jetmesh.declare import EventSpec, spec_of
from jetmesh.operate.catalog.history import Version, history
from jetmesh.operate.catalog.pages import pages
from jetmesh.operate.evolution.describe import contract_of
from jetmesh.operate.evolution.released import Name, Release, Released
from jetmesh.operate.schemas import json_schema


def declared(kind: type[Struct]) -> EventSpec:
    found = spec_of(kind)
    assert found is not None
    return found


def released(name: Name, kind: type[Struct]) -> Release:
    spec = declared(kind)
    return Release(name, contract_of(spec), (b"{}",), json_schema(spec))


@event("cars.sold", key="id")
class First(Struct, frozen=True, kw_only=True):
    id: str
    price: int


@event("cars.sold", key="id")
class Wider(Struct, frozen=True, kw_only=True):
    id: str
    price: Annotated[int, Meta(ge=0)]
    colour: str = ""


@event("cars.sold", key="id", version=2)
class Sold(Struct, frozen=True, kw_only=True):
    id: str
    amount: int
    colour: str = ""


@upcasts(1, Sold)
def with_amount(old: dict[str, Any]) -> dict[str, Any]:
    """The price is called amount."""
    return {**old, "amount": old["price"]}


RELEASES = [released(Name(1), First), released(Name(1, 1), Wider)]


def names(found: list[Version]) -> list[tuple[str, bool, bool]]:
    return [(each.name, each.is_today, each.is_released) for each in found]


def test_each_step_says_what_changed_by_the_names_of_fields() -> None:
    newest, wider, first = history(declared(Sold), RELEASES)
    assert names([newest, wider, first]) == [
        ("2", True, False),
        ("1.1", False, True),
        ("1", False, True),
    ]
    assert newest.changes == ("without price", "with amount (integer)")
    assert wider.changes == (
        "price: integer, now integer; ≥ 0",
        'with colour (string; default "")',
    )
    assert first.changes == ()
    assert (wider.upcaster, wider.text) == ("with_amount", "The price is called amount.")


def test_what_is_released_as_it_is_declared_is_one_version() -> None:
    found = history(declared(Sold), [*RELEASES, released(Name(2), Sold)])
    assert names(found)[:2] == [("2", True, True), ("1.1", False, True)]


def test_without_releases_versions_are_known_by_their_numbers() -> None:
    assert names(history(declared(Sold), [])) == [("2", True, False), ("1", False, False)]
    assert names(history(declared(First), [])) == [("1", True, False)]


@pytest.mark.parametrize("releases", [[], RELEASES])
def test_the_page_shows_them_and_says_what_is_not_released(releases: list[Release]) -> None:
    service = Service("desk")

    @service.on(Sold)
    def take(sold: Sold) -> None: ...

    files = pages(System("cars", ()), derive([service]), Released(releases))
    page = files["cars.sold.html"]
    assert ("not released" in page) == bool(releases), "where nothing is released, nothing is late"
    assert ('href="released/cars.sold/1.1.json"' in page) == bool(releases)
    assert ("released/cars.sold/1.1.json" in files) == bool(releases)
