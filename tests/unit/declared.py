"""Declarations of a small shop that several tests look at."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from jetmesh import Record, event
from jetmesh.declare import EventSpec, spec_of


@event("purchases.created", key="id")
class Created(Struct, frozen=True):
    """Somebody wants to buy."""

    id: str


@event("orders.validated", key="id", decision="orders.*")
class Validated(Struct, frozen=True):
    """Sound."""

    id: str


@event("orders.rejected", key="id", decision="orders.*")
class Rejected(Struct, frozen=True):
    """Unsound."""

    id: str


class Board:
    """Counts."""

    def apply(self, event: Struct, record: Record) -> None: ...


def spec(cls: Any) -> EventSpec:
    """How an event was declared."""
    found = spec_of(cls)
    assert found is not None
    return found
