"""The board counts every purchase once, whatever the order in which its events arrive."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from msgspec import Struct

from jetmesh import Record
from shop.business_board import Board
from shop_contracts import DeclineReason, RejectionCode
from tests.unit.shop import flow
from tests.unit.shop.flow import (
    captured,
    created,
    declined,
    expired,
    expiry_told,
    history,
    refund_told,
    refunded,
    rejected,
    told,
    validated,
)
from tests.unit.shop.strategies import retellings


def board_of(records: list[tuple[Struct, Record]]) -> Board:
    board = Board()
    for event, record in records:
        board.apply(event, record)
    return board


def seen(records: list[tuple[Struct, Record]]) -> dict[str, Any]:
    snapshot = board_of(records).snapshot()
    del snapshot["version"]
    return snapshot


@given(retellings())
def test_any_order_and_any_repetition_show_the_same(
    told_twice: tuple[list[tuple[Struct, Record]], list[tuple[Struct, Record]]],
) -> None:
    first, again = told_twice
    assert seen(first) == seen(again)
    assert msgspec.json.encode(seen(first)) == msgspec.json.encode(seen(again))


def test_an_empty_board_shows_nothing_and_divides_by_nothing() -> None:
    snapshot = Board().snapshot()
    assert snapshot["purchases"]["total"] == 0
    rates = dict.fromkeys(("captured", "declined", "rejected", "expired", "refunded"), 0.0)
    assert snapshot["rates"] == rates
    assert snapshot["newest"] == []


def test_each_outcome_is_counted_with_its_rate() -> None:
    snapshot = seen(
        history(
            *(created(f"p-{n}") for n in range(4)),
            *(validated(f"p-{n}") for n in range(3)),
            rejected("p-3", RejectionCode.TOTAL_MISMATCH),
            captured("p-0"),
            declined("p-1"),
            told("p-0"),
        )
    )
    assert snapshot["purchases"] == {
        "total": 4,
        "in_progress": 1,
        "waiting_for_validation": 0,
        "waiting_for_payment": 1,
        "captured": 1,
        "declined": 1,
        "rejected": 1,
        "expired": 0,
        "refunded": 0,
        "told": 1,
        "repeated": 0,
    }
    rates = {"captured": 0.25, "declined": 0.25, "rejected": 0.25, "expired": 0, "refunded": 0}
    assert snapshot["rates"] == rates


def test_what_is_not_paid_in_time_has_expired_and_what_goes_back_is_no_revenue() -> None:
    late = (created("p-2"), validated("p-2"), expired("p-2"), captured("p-2"))
    unpaid = (created("p-1"), validated("p-1"), expired("p-1"), expiry_told("p-1"))
    purchases = seen(history(*unpaid, *late))["purchases"]
    assert (purchases["expired"], purchases["captured"], purchases["in_progress"]) == (1, 1, 0)
    snapshot = seen(history(*unpaid, *late, refunded("p-2"), refund_told("p-2")))
    assert (snapshot["purchases"]["expired"], snapshot["purchases"]["refunded"]) == (1, 1)
    assert (snapshot["purchases"]["captured"], snapshot["purchases"]["told"]) == (0, 2)
    assert snapshot["revenue"] == []
    assert [line["status"] for line in snapshot["newest"]] == ["refunded", "expired"]


def test_revenue_is_what_was_captured_by_currency() -> None:
    snapshot = seen(
        history(
            created("p-1"),
            created("p-2", currency="JPY", total=Decimal(500)),
            captured("p-1", "9.00"),
            captured("p-2", "500", "JPY"),
            captured("p-3", "0.10"),
            declined("p-4"),
        )
    )
    assert snapshot["revenue"] == [
        {"currency": "EUR", "amount": "9.10", "purchases": 2},
        {"currency": "JPY", "amount": "500", "purchases": 1},
    ]


def test_a_purchase_sent_again_is_counted_once_and_seen_as_repeated() -> None:
    snapshot = seen(history(created(), created(total=Decimal("1.00")), created("p-2")))
    assert snapshot["purchases"]["total"] == 2
    assert snapshot["purchases"]["repeated"] == 1
    assert snapshot["newest"][1]["repeats"] == 1
    assert snapshot["newest"][1]["amount"] == "9.00"


def test_a_second_outcome_typed_by_hand_changes_nothing_but_the_first_counts() -> None:
    snapshot = seen(history(captured(), captured(amount="100.00"), declined()))
    assert snapshot["revenue"] == [{"currency": "EUR", "amount": "9.00", "purchases": 1}]
    assert snapshot["declines"] == []


def test_every_reason_of_a_rejection_counts_once_per_purchase() -> None:
    mismatch, ceiling = RejectionCode.TOTAL_MISMATCH, RejectionCode.OVER_CEILING
    snapshot = seen(
        history(rejected("p-1", mismatch, mismatch, ceiling), rejected("p-2", mismatch))
    )
    assert snapshot["rejections"] == [
        {"code": "total_mismatch", "count": 2},
        {"code": "over_ceiling", "count": 1},
    ]


def test_declines_are_counted_by_reason() -> None:
    snapshot = seen(history(declined("p-1"), declined("p-2", DeclineReason.REFUSED)))
    assert snapshot["declines"] == [
        {"code": "expired_card", "count": 1},
        {"code": "refused", "count": 1},
    ]


@pytest.mark.parametrize("amount", ["NaN", "sNaN", "Infinity", "1E+1000000", "0.00001"])
def test_a_charge_that_is_no_sum_of_money_is_set_apart(amount: str) -> None:
    snapshot = seen(history(captured("p-1", amount), captured("p-2")))
    assert snapshot["uncounted_charges"] == 1
    assert snapshot["revenue"] == [{"currency": "EUR", "amount": "9.00", "purchases": 1}]


def test_an_absurd_purchase_is_listed_without_its_amount() -> None:
    absurd = created(total=Decimal("1E+400"), currency="x" * 1_000)
    (line,) = seen(history(absurd))["newest"]
    assert line["amount"] is None
    assert line["currency"] == "xxxxxxx…"


def test_the_newest_twenty_are_listed_newest_first() -> None:
    newest = seen(history(*(created(f"p-{n}") for n in range(50))))["newest"]
    assert [line["purchase_id"] for line in newest] == [f"p-{n}" for n in range(49, 29, -1)]


def test_one_that_proves_older_makes_room_in_the_list() -> None:
    """Its repetition came first and put it on the list; its first sending is older than all."""
    records = history(created("old"), *(created(f"p-{n}") for n in range(20)), created("old"))
    board = board_of([*records[1:-1], records[-1]])
    assert board.snapshot()["newest"][0]["purchase_id"] == "old"
    board.apply(*records[0])
    newest = [line["purchase_id"] for line in board.snapshot()["newest"]]
    assert newest == [f"p-{n}" for n in range(19, -1, -1)]


def test_the_version_stands_still_while_nothing_new_is_seen() -> None:
    records = history(created(), validated(), captured(), told())
    board = board_of(records)
    before = board.version
    for event, record in records:
        board.apply(event, record)
    assert board.version == before


def test_the_chart_counts_each_purchase_when_it_began() -> None:
    stored = flow.Stored()
    records = [
        stored(created("p-1")),
        stored(created("p-2"), after=600),
        stored(captured("p-1"), after=601),
    ]
    ranges = {r["name"]: r for r in seen(records)["chart"]}
    start = int(flow.START.timestamp())
    assert ranges["1 hour"]["bars"] == [[start, 0, 1, 0, 0, 0], [start + 600, 1, 0, 0, 0, 0]]
    assert ranges["all"]["bars"] == [[start, 1, 1, 0, 0, 0]]


def test_the_chart_of_years_has_bars_that_a_page_can_show() -> None:
    stored = flow.Stored()
    day = timedelta(days=1).total_seconds()
    records = [stored(created(f"p-{n}"), after=n * day) for n in range(1_000)]
    everything = seen(records)["chart"][-1]
    assert len(everything["bars"]) <= 121
    assert sum(bar[1] for bar in everything["bars"]) == 1_000
