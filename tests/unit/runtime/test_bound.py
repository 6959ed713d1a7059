"""A read model with a bound holds no more keys than it declares, whatever is published."""

from __future__ import annotations

import pytest
from msgspec import Struct

from jetmesh import Record, Service, event
from jetmesh.errors import DeclarationError
from jetmesh.runtime.bound import Bound
from tests.unit.shop.flow import START


@event("boundaries.placed", key="order_id")
class Placed(Struct, frozen=True):
    order_id: str


@event("boundaries.ticked")
class Ticked(Struct, frozen=True):
    number: int


class Board:
    def __init__(self) -> None:
        self.orders: dict[str, int] = {}

    def apply(self, event: Placed, record: Record) -> None:
        self.orders[event.order_id] = record.sequence

    def drop(self, key: str) -> None:
        del self.orders[key]


def record(sequence: int) -> Record:
    return Record("BOUNDARIES", sequence, "boundaries.placed", START, "")


def bounded(most: int) -> tuple[Board, Bound]:
    service = Service("board")
    service.read_model(Board, events=[Placed], most_keys=most)
    board = Board()
    return board, Bound(service.read_models[0], board)


def test_the_key_that_changed_longest_ago_is_dropped() -> None:
    board, bound = bounded(3)
    for sequence, key in enumerate(["a", "b", "c", "a", "d", "e"], 1):
        bound.apply(Placed(key), record(sequence))
        assert len(board.orders) <= 3
    assert board.orders == {"a": 4, "d": 5, "e": 6}
    assert bound.dropped == 2


def test_a_flood_of_keys_leaves_it_as_large_as_it_may_be() -> None:
    board, bound = bounded(100)
    for sequence in range(1, 5001):
        bound.apply(Placed(f"p-{sequence}"), record(sequence))
    assert len(board.orders) == 100
    assert bound.dropped == 4900


def test_it_begins_anew_with_its_model() -> None:
    board, bound = bounded(1)
    bound.apply(Placed("a"), record(1))
    board.orders.clear()
    bound.clear()
    bound.apply(Placed("b"), record(1))
    assert bound.dropped == 0


def test_a_bound_without_drop_or_without_keys_is_refused() -> None:
    class Stubborn:
        def apply(self, event: object, record: Record) -> None: ...

    with pytest.raises(DeclarationError, match="no method drop"):
        Service("board").read_model(Stubborn, events=[Placed], most_keys=1)
    with pytest.raises(DeclarationError, match="Ticked has no key"):
        Service("board").read_model(Board, events=[Ticked], most_keys=1)
