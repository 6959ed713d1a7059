"""What stays in memory of an order is small, whatever the order is; its story is read again."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from hypothesis import given
from msgspec import Struct

from jetmesh import Record
from shop.customer_orders import Orders
from shop.customer_story import fold
from shop_contracts import Item
from tests.unit.shop import flow
from tests.unit.shop.flow import Shelf, captured, created, history, told, validated
from tests.unit.shop.strategies import retellings


def orders_of(records: list[tuple[Struct, Record]]) -> Orders:
    orders = Orders()
    for event, record in records:
        orders.apply(event, record)
    return orders


def key_of(event: Any) -> str:
    return str(event.purchase_id)


@given(retellings())
def test_any_order_and_any_repetition_note_the_same_places(
    twice: tuple[list[tuple[Struct, Record]], list[tuple[Struct, Record]]],
) -> None:
    first, again = (orders_of(records) for records in twice)
    for key in {key_of(event) for event, _ in twice[0]}:
        assert first.places(key) == again.places(key)


async def test_a_story_is_read_from_where_its_events_are() -> None:
    records = history(created(), created("p-2"), validated(), created(), captured(), told())
    shelf = Shelf(*records)
    orders = orders_of(records)
    assert await orders.story("p-1", shelf) == fold(r for r in records if key_of(r[0]) == "p-1")
    assert await orders.story("p-9", shelf) is None


async def test_of_an_order_sent_a_thousand_times_a_few_events_are_read() -> None:
    records = history(*[created()] * 1000)
    shelf = Shelf(*records)
    story = await orders_of(records).story("p-1", shelf)
    assert story is not None
    assert len(story.repeats) == 20
    assert shelf.asked < 35


async def test_what_was_dropped_is_found_by_its_key() -> None:
    records = [
        (event, record_of(record, "p-1"))
        for event, record in history(created(), validated(), captured())
    ]
    orders = orders_of(records)
    orders.drop("p-1")
    assert orders.places("p-1") == {}
    event, record = history(told())[0]
    later = (event, record_of(record, "p-1"))
    orders.apply(*later)
    assert await orders.story("p-1", Shelf(*records, later)) == fold([*records, later])


def record_of(record: Record, key: str) -> Record:
    """As published with its key."""
    subject = f"{record.subject}.{key}"
    return Record(record.stream, record.sequence, subject, record.stored_at, "")


def test_what_an_order_says_takes_no_memory() -> None:
    """6,000 orders of 20 KB took 177 MiB when stories were kept."""

    def kept(*events: Struct) -> int:
        records = history(*events)
        return allocated(lambda: orders_of(records))

    long = (Item(sku="s" * 200, quantity=2, unit_price=Decimal("4.50")),) * 100
    small = kept(*(created(f"p-{n}") for n in range(500)))
    large = kept(*(created(f"p-{n}", items=long) for n in range(500)))
    assert large < small + 20_000
    assert large < 500 * 500


def allocated(make: Callable[[], object]) -> int:
    """The bytes that what `make` returns keeps."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        made = make()
        after, _ = tracemalloc.get_traced_memory()
        del made
    finally:
        tracemalloc.stop()
    return after - before


def test_of_what_is_remembered_only_the_newest_is_looked_for() -> None:
    """Its stream keeps no other."""
    records = history(flow.fulfilment(), flow.fulfilment(step="paid"))
    for each in (records, records[::-1]):
        assert orders_of(each).places("p-1") == {"STATES_FULFILMENT_ORDERS": [2]}
