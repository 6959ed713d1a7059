"""An order's story is the same in whatever order its events arrive, and keeps no secrets."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from msgspec import Struct

from jetmesh import Record
from shop.customer_story import fold, mask
from shop.customer_telling import tell
from shop_contracts import Channel, Customer, DeclineReason, Item, Outcome, RejectionCode
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


def story(*events: Struct, key: str = "p-1") -> dict[str, Any]:
    return tell(key, fold(history(*events)))


def steps(*events: Struct) -> dict[str, tuple[str, str]]:
    """State and title of each step, by its name."""
    telling = story(*events)["steps"]
    return {step["step"]: (step["state"], step["title"]) for step in telling}


@given(retellings())
def test_any_order_and_any_repetition_tell_the_same(
    twice: tuple[list[tuple[Struct, Record]], list[tuple[Struct, Record]]],
) -> None:
    keys = {record_key(event) for event, _ in twice[0]}
    for key in keys:
        first, again = (
            fold(each for each in records if record_key(each[0]) == key) for records in twice
        )
        assert first == again
        assert msgspec.json.encode(tell(key, first))


def record_key(event: Struct) -> str:
    return str(event.purchase_id)  # type: ignore[attr-defined] # every event of the shop has one


def test_a_paid_order_is_told_from_start_to_end() -> None:
    assert steps(created(), validated(), captured(), told()) == {
        "placed": ("done", "We received your order"),
        "checked": ("done", "Everything is in order"),
        "paid": ("done", "You paid 9.00 EUR"),
        "told": ("done", "We e-mailed you"),
    }


def test_an_order_that_expired_says_so_and_asks_for_nothing() -> None:
    assert steps(created(), validated(), expired(), expiry_told()) == {
        "placed": ("done", "We received your order"),
        "checked": ("done", "Everything is in order"),
        "expired": ("failed", "It was not paid in time, and has expired"),
        "paid": ("skipped", "Nothing was charged"),
        "told": ("done", "We e-mailed you"),
    }


def test_what_was_paid_too_late_is_told_to_its_end_with_each_mail() -> None:
    late = (created(), validated(), expired(), captured(), expiry_told(), told())
    assert steps(*late)["refunded"] == ("waiting", "You get 9.00 EUR back")
    assert story(*late)["headline"] == "You get your money back"
    ended = story(*late, refunded(), refund_told())
    assert ended["headline"] == "You got your money back"
    *_, back, mails = ended["steps"]
    assert (back["state"], back["title"]) == ("done", "You got 9.00 EUR back")
    assert len(mails["texts"]) == 3


def test_what_is_still_to_come_is_waiting() -> None:
    telling = steps(created())
    assert [state for state, _ in telling.values()] == ["done", "waiting", "waiting", "waiting"]


def test_a_rejected_order_names_every_reason_once_and_charges_nothing() -> None:
    telling = story(
        created(), rejected("p-1", RejectionCode.TOTAL_MISMATCH, RejectionCode.OVER_CEILING)
    )
    assert telling["status"] == "rejected"
    checked, paid = telling["steps"][1:3]
    assert checked["texts"] == [
        "The total is wrong.",
        "Please correct it and place a new order.",
    ]
    assert paid["state"] == "skipped"


@pytest.mark.parametrize("reason", DeclineReason)
def test_a_declined_payment_comes_with_advice(reason: DeclineReason) -> None:
    telling = story(created(), validated(), declined("p-1", reason))
    assert telling["status"] == "declined"
    paid = telling["steps"][2]
    assert paid["texts"][:2] == ["The card has expired.", "Nothing was charged."]
    assert "lace the order" in paid["texts"][2]


def test_a_customer_who_cannot_be_written_to_is_told_here() -> None:
    telling = steps(created(), told("p-1", Outcome.REJECTED, Channel.NONE))
    assert telling["told"] == ("failed", "We could not e-mail you")


def test_a_payment_seen_before_the_check_implies_it() -> None:
    assert steps(captured())["checked"] == ("done", "Everything is in order")


def test_an_unknown_order_has_no_steps() -> None:
    telling = tell("p-9", None)
    assert telling["status"] == "unknown"
    assert telling["steps"] == []


def test_an_order_sent_again_says_so() -> None:
    telling = story(created(), created())
    assert telling["steps"][0]["texts"] == ["It was sent 2 times. We count it once."]


def test_other_content_under_the_same_number_is_told_and_does_not_count() -> None:
    telling = story(created(), created(total=Decimal("1.00")))
    (text,) = telling["steps"][0]["texts"]
    assert "Only the first one counts" in text
    assert telling["summary"]["total"] == "9.00 EUR"


def test_neither_the_payment_token_nor_the_address_is_shown() -> None:
    secret = {"payment_token": "tok_secret"}
    events = (created(**secret), validated(), captured(), told())
    shown = msgspec.json.encode(fold(history(*events)))
    assert b"tok_" not in shown
    assert b"customer@" not in shown


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("customer@example.test", "c•••@example.test"),
        ("@example.test", "•••@example.test"),
        ("no address at all", "n•••"),
        ("", "•••"),
        ("\x1b[31m@example.test", "�•••@example.test"),
    ],
)
def test_an_address_is_masked(address: str, shown: str) -> None:
    assert mask(address) == shown


def test_a_purchase_of_absurd_size_has_a_story_of_sane_size() -> None:
    item = Item(sku="x" * 10_000, quantity=10**50, unit_price=Decimal("1E+999999"))
    customer = Customer(id="c", name="n" * 100_000, email="e" * 100_000)
    absurd = created(items=(item,) * 500, customer=customer, total=Decimal("NaN"))
    found = fold(history(absurd, *[created()] * 100))
    assert len(msgspec.json.encode(found)) < 20_000
    summary = tell("p-1", found)["summary"]
    assert summary["more_lines"] == 450
    assert summary["total"] == "NaN EUR"


def test_times_are_those_of_the_broker() -> None:
    telling = story(created())
    placed = telling["steps"][0]
    assert placed["at"] == flow.START.isoformat(timespec="milliseconds")


def test_who_has_not_paid_yet_reads_until_when() -> None:
    waiting = created(), validated(), flow.fulfilment()
    paid = next(each for each in story(*waiting)["steps"] if each["step"] == "paid")
    until = f"{flow.START + timedelta(minutes=15):%Y-%m-%d %H:%M:%S} UTC"
    assert paid["texts"] == [f"The order expires if it is not paid by {until}."]
    ended = story(*waiting, captured(), flow.fulfilment(step="paid"))
    assert "expires" not in str(ended)


def test_of_what_is_remembered_the_newest_counts_in_whatever_order_it_comes() -> None:
    records = history(flow.fulfilment(), flow.fulfilment(step="paid"))
    assert fold(records) == fold(reversed(records))
    assert fold(records).stands == fold(records[1:]).stands
