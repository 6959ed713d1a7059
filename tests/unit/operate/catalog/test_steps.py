"""The page of a state with steps shows its moves."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from jetmesh import Later, Service, System, derive, event, seconds, state
from jetmesh.operate.catalog.pages import pages
from jetmesh.operate.evolution.released import Released


@event("cars.parked", key="plate")
class Parked(Struct, frozen=True):
    plate: str


@event("cars.overdue", key="plate")
class Overdue(Struct, frozen=True):
    plate: str


@state("garage.places", key="plate", steps="step", ends=("towed",))
class Place(Struct, frozen=True):
    plate: str
    step: Literal["parked", "towed"]


service = Service("garage")


@service.on(Parked, state=Place, moves={None: "parked"}, otherwise="ignore")
def park(car: Parked, place: Place | None) -> tuple[Place, Later[Overdue]]:
    return Place(car.plate, "parked"), Later(Overdue(car.plate), after=seconds(1))


@service.on(Overdue, state=Place, moves={"parked": "towed"}, otherwise="ignore")
def tow(car: Overdue, place: Place | None) -> Place:
    return Place(car.plate, "towed")


def test_every_move_is_shown_with_its_deadline_and_its_end() -> None:
    files = pages(System("garage", ()), derive([service]), Released([]))
    page = files["states.garage.places.html"]
    rows = page[page.index('id="steps"') : page.index('id="fields"')]
    assert rows.count("<tr") == 3
    assert (
        '<a href="cars.overdue.html">cars.overdue</a> <span class="badge">deadline</span>' in rows
    )
    assert '<code>towed</code> <span class="badge">end</span>' in rows
    assert "nothing known yet" in rows
    assert 'id="steps"' not in files["cars.parked.html"]
