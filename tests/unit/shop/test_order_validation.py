"""Which purchases become orders, and what is said of the others."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetmesh.testing import delivery, outputs
from shop.currencies import UNITS
from shop.order_validation import ValidationSettings, decide, find_faults, service
from shop_contracts import (
    Customer,
    Item,
    OrderRejected,
    OrderValidated,
    PurchaseCreated,
    RejectionCode,
)
from tests.unit.shop import flow

SETTINGS = ValidationSettings()


def item(quantity: int = 2, price: str = "4.50") -> Item:
    return Item(sku="tea", quantity=quantity, unit_price=Decimal(price))


def found(**changes: Any) -> list[tuple[str, str]]:
    faults = find_faults(flow.created(**changes), SETTINGS)
    return [(fault.code.value, fault.field) for fault in faults]


def test_a_sound_purchase_becomes_an_order_with_everything_payment_needs() -> None:
    purchase = flow.created(total=Decimal(9))
    assert outputs(service, decide, purchase) == [
        OrderValidated(
            purchase_id="p-1",
            customer=purchase.customer,
            items=purchase.items,
            total=Decimal("9.00"),
            currency="EUR",
            payment_token=purchase.payment_token,
            validated_at=delivery(purchase).stored_at,
        )
    ]


def test_the_total_is_written_with_the_decimals_of_its_currency() -> None:
    (order,) = outputs(service, decide, flow.created(total=Decimal(9)))
    assert str(order.total) == "9.00"


def test_a_repeated_delivery_decides_the_same_bytes() -> None:
    purchase = flow.created()
    first, second = (decide(purchase, delivery(purchase, attempt=n), SETTINGS) for n in (1, 2))
    assert msgspec.json.encode(first) == msgspec.json.encode(second)


def test_every_reason_is_found_in_the_order_of_the_fields() -> None:
    (rejected,) = outputs(
        service,
        decide,
        flow.created(
            customer=Customer(id="c-1", name="Sample Customer", email="nowhere"),
            items=(item(quantity=0), item(price="-1"), item(price="0.001")),
            total=Decimal("1000000.001"),
            currency="eur",
        ),
    )
    assert isinstance(rejected, OrderRejected)
    assert [(reason.code, reason.field) for reason in rejected.reasons] == [
        (RejectionCode.IMPLAUSIBLE_EMAIL, "customer.email"),
        (RejectionCode.QUANTITY_NOT_POSITIVE, "items[0].quantity"),
        (RejectionCode.PRICE_NOT_POSITIVE, "items[1].unit_price"),
        (RejectionCode.OVER_CEILING, "total"),
        (RejectionCode.UNKNOWN_CURRENCY, "currency"),
    ]


def test_a_rejection_repeats_the_purchase_as_given_but_not_its_token() -> None:
    (rejected,) = outputs(service, decide, flow.created(total=Decimal("1E+999999")))
    assert rejected.total == Decimal("1E+999999")
    assert b"tok_" not in msgspec.json.encode(rejected)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"items": ()}, ("no_items", "items")),
        ({"items": (item(),) * 501}, ("too_many_items", "items")),
        ({"items": (item(quantity=-1),)}, ("quantity_not_positive", "items[0].quantity")),
        ({"items": (item(quantity=10_001),)}, ("quantity_too_large", "items[0].quantity")),
        ({"items": (item(price="0"),)}, ("price_not_positive", "items[0].unit_price")),
        ({"items": (item(price="4.505"),)}, ("price_decimals", "items[0].unit_price")),
        ({"items": (item(price="1E+999999"),)}, ("over_ceiling", "items[0].unit_price")),
        ({"total": Decimal("9.01")}, ("total_mismatch", "total")),
        ({"total": Decimal("9.001")}, ("total_decimals", "total")),
        ({"total": Decimal("-9.00")}, ("total_invalid", "total")),
        ({"total": Decimal("NaN")}, ("total_invalid", "total")),
        ({"total": Decimal("sNaN")}, ("total_invalid", "total")),
        ({"currency": "XXX"}, ("unknown_currency", "currency")),
        ({"currency": "JPY"}, ("price_decimals", "items[0].unit_price")),
    ],
)
def test_each_fault_is_named_with_its_field(
    changes: dict[str, Any], expected: tuple[str, str]
) -> None:
    assert expected in found(**changes)


def test_a_wrong_total_is_answered_with_the_right_one() -> None:
    (fault,) = find_faults(flow.created(total=Decimal(10)), SETTINGS)
    assert fault.message == "The total is 10.00 EUR, but the items add up to 9.00 EUR."


def test_the_ceiling_is_a_setting_for_each_currency() -> None:
    settings = ValidationSettings(ceiling=Decimal(8), ceilings={"USD": Decimal("9.00")})
    (fault,) = find_faults(flow.created(), settings)
    assert fault.message == "The total is above the limit of 8.00 EUR."
    assert find_faults(flow.created(currency="USD"), settings) == []


@pytest.mark.parametrize("ceiling", ["0", "-1", "NaN", "Infinity", "1E+16"])
def test_a_ceiling_that_cannot_work_is_refused_when_settings_are_read(ceiling: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="a ceiling must be above 0"):
        msgspec.convert({"ceiling": ceiling}, ValidationSettings)


def test_decimals_are_counted_by_value_so_trailing_zeros_do_no_harm() -> None:
    assert found(items=(item(price="4.5000"),), total=Decimal("9.0000000")) == []


@pytest.mark.parametrize(
    ("currency", "price", "sound"),
    [("JPY", "450", True), ("KWD", "4.505", True), ("KWD", "4.5055", False), ("EUR", "5", True)],
)
def test_every_currency_has_its_own_decimals(currency: str, price: str, *, sound: bool) -> None:
    total = Decimal(price) * 2
    faults = found(items=(item(price=price),), total=total, currency=currency)
    assert (faults == []) is sound


amounts = st.decimals(min_value="0.01", max_value=1000, places=2)
lines = st.lists(
    st.builds(lambda q, p: Item(sku="tea", quantity=q, unit_price=p), st.integers(1, 10), amounts),
    min_size=1,
    max_size=9,
)


@given(lines)
def test_a_purchase_whose_total_is_the_sum_of_its_items_is_sound(items: list[Item]) -> None:
    total = sum((line.unit_price * line.quantity for line in items), Decimal(0))
    assert found(items=tuple(items), total=total) == []


@given(lines, st.decimals(min_value=-100, max_value=100, places=2).filter(bool))
def test_a_purchase_whose_total_is_anything_else_is_not(items: list[Item], by: Decimal) -> None:
    total = sum((line.unit_price * line.quantity for line in items), by)
    assert found(items=tuple(items), total=total) in (
        [("total_mismatch", "total")],
        [("total_invalid", "total")],
    )


@given(
    st.lists(
        st.builds(
            lambda q, p: Item(sku="tea", quantity=q, unit_price=p),
            st.integers(-(10**400), 10**400),
            st.decimals(),
        ),
        max_size=3,
    ),
    st.decimals() | st.sampled_from(["1E+999999", "-1E-999999", "sNaN", "1" * 5000]).map(Decimal),
    st.sampled_from([*UNITS, "", "eur", "\x1b[31m", "X" * 1000]),
    st.text(max_size=300),
)
def test_no_purchase_that_keeps_its_contract_makes_the_decision_fail(
    items: list[Item], total: Decimal, currency: str, email: str
) -> None:
    purchase = flow.created(
        customer=Customer(id="c-1", name="Sample Customer", email=email),
        items=tuple(items),
        total=total,
        currency=currency,
    )
    outcome = decide(purchase, delivery(purchase), SETTINGS)
    msgspec.json.decode(msgspec.json.encode(outcome), type=type(outcome))
    if isinstance(outcome, OrderRejected):
        assert all(len(r.message) < 150 and r.message.isprintable() for r in outcome.reasons)


@pytest.mark.parametrize(
    "absurd",
    ["NaN", "sNaN1234", "-Infinity", "1E+999999", "-1E-999999", "9" * 9000, "0." + "1" * 9000],
)
def test_absurd_amounts_off_the_wire_are_rejected(absurd: str) -> None:
    raw = msgspec.json.encode(flow.created()).replace(b'"9.00"', f'"{absurd}"'.encode())
    purchase = msgspec.json.decode(
        raw.replace(b'"4.50"', f'"{absurd}"'.encode()), type=PurchaseCreated
    )
    assert isinstance(decide(purchase, delivery(purchase), SETTINGS), OrderRejected)


def test_a_purchase_of_many_wrong_lines_gets_an_answer_that_fits_a_message() -> None:
    """A message may have 1 MiB: a reason per fault must not push the answer beyond it."""
    purchase = flow.created(items=(item(quantity=-1, price="-1"),) * 500)
    assert len(msgspec.json.encode(decide(purchase, delivery(purchase), SETTINGS))) < 300_000


TEXT = "\x01" * 180_000  # written as six characters each: just what one message may have
TOO_LARGE: list[dict[str, Any]] = [
    {"customer": Customer(id=TEXT, name="Sample Customer", email="customer@example.test")},
    {"customer": Customer(id="c-1", name=TEXT, email="customer@example.test")},
    {"customer": Customer(id="c-1", name="Sample Customer", email=f"a@example.test{TEXT}")},
    {"items": (Item(sku=TEXT, quantity=1, unit_price=Decimal(1)),)},
    {"items": (Item(sku="", quantity=1, unit_price=Decimal(1)),) * 27_000},
    {"total": Decimal("1" * 1_000_000)},
    {"total": Decimal("sNaN" + "1" * 1_000_000)},
    {"currency": TEXT},
    {"payment_token": TEXT},
]


@pytest.mark.parametrize("changes", TOO_LARGE)
def test_of_a_purchase_that_is_too_large_the_rejection_keeps_what_fits(
    changes: dict[str, Any],
) -> None:
    purchase = flow.created(**changes)
    first, again = (decide(purchase, delivery(purchase, attempt=n), SETTINGS) for n in (1, 2))
    assert isinstance(first, OrderRejected)
    assert [(r.code, r.field) for r in first.reasons] == [(RejectionCode.TOO_LARGE, "")]
    encoded = msgspec.json.encode(first)
    assert len(encoded) < 2000
    assert encoded == msgspec.json.encode(again)
    # as it was, or nobody's: cut off, it could be the address of somebody else
    assert first.customer.email in ("customer@example.test", "")


def test_the_largest_purchase_with_every_fault_gets_an_answer_that_fits_a_message() -> None:
    settings = ValidationSettings(max_items=1000, max_bytes=524_288)
    line = item(quantity=10**9, price="-1")
    bare = len(msgspec.json.encode(flow.created(items=(line,) * 1000)))
    name = "x" * (524_288 - bare)
    customer = Customer(id="c-1", name=name, email="-")
    purchase = flow.created(items=(line,) * 1000, customer=customer)
    rejected = decide(purchase, delivery(purchase), settings)
    assert isinstance(rejected, OrderRejected)
    assert len(rejected.reasons) > 2000
    assert len(msgspec.json.encode(rejected)) < (1 << 20) - 2000
