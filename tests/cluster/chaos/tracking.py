"""A service that exists only here: it keeps order, and writes down what it handles, and when.

Others ask for the moves of a parcel; `make` stores them in whatever order it comes to them, and
`follow` must handle them in exactly that one. `python -m tests.cluster.chaos.tracking` runs it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from msgspec import Struct

from jetmesh import Delivery, Duration, Policy, Reject, Service, event, run

_WORK_SECONDS: Final = 0.005


@event("journeys.asked", key="parcel_id")
class MoveAsked(Struct, frozen=True, kw_only=True):
    """A parcel is to be moved."""

    parcel_id: str
    number: int
    fails: int = 0
    """So many attempts fail before it can be followed."""
    is_bad: bool = False
    """It cannot be followed at all before somebody has mended its parcel."""


@event("moves.made", key="parcel_id")
class MoveMade(Struct, frozen=True, kw_only=True):
    """A parcel was moved."""

    parcel_id: str
    number: int
    fails: int
    is_bad: bool


@event("tracks.followed", key="parcel_id")
class MoveFollowed(Struct, frozen=True, kw_only=True):
    """A move was taken note of."""

    parcel_id: str
    number: int


class TrackingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where it writes down what it handles."""

    folder: str = "."


service = Service(
    "tracking", version="1.0.0", settings=TrackingSettings, description="Follows in order."
)


@service.on(MoveAsked)
def make(asked: MoveAsked) -> MoveMade:
    """Move it."""
    return MoveMade(
        parcel_id=asked.parcel_id, number=asked.number, fails=asked.fails, is_bad=asked.is_bad
    )


@service.on(
    MoveMade,
    ordered=True,
    policy=Policy(attempts=10, backoff=Duration(0.1), backoff_cap=Duration(0.5)),
)
async def follow(move: MoveMade, delivery: Delivery, settings: TrackingSettings) -> MoveFollowed:
    """Write down that it begins, and that it ends: not all do."""
    folder = Path(settings.folder)
    _write(folder, "begin", move)
    await asyncio.sleep(_WORK_SECONDS)
    if move.is_bad and not mended(folder, move.parcel_id).exists():
        raise Reject("The parcel is damaged.")
    if delivery.attempt <= move.fails:
        raise OSError("not this time")
    _write(folder, "end", move)
    return MoveFollowed(parcel_id=move.parcel_id, number=move.number)


def effects(folder: Path) -> Path:
    """The file in which all processes write what they do, a line each."""
    return folder / "effects"


def mended(folder: Path, parcel_id: str) -> Path:
    """The file whose existence says that a parcel is no longer damaged."""
    return folder / f"mended-{parcel_id}"


def _write(folder: Path, what: str, move: MoveMade) -> None:
    """One line, written at once: after those of every other process that wrote before."""
    with effects(folder).open("ab", buffering=0) as file:
        file.write(f"{what},{move.parcel_id},{move.number}\n".encode())


if __name__ == "__main__":
    run(service)
