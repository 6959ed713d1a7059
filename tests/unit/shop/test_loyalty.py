"""What a payment earns, and when a tier is told."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetmesh import derive
from jetmesh.declare import escape_key
from shop.loyalty import TIERS, award, service
from shop_contracts import Account, Customer, PaymentCaptured, Tier, TierReached
from tests.unit.shop.flow import CUSTOMER, account, captured


def after(*payments: PaymentCaptured, known: Account | None = None) -> Account:
    for payment in payments:
        known, _ = award(payment, known)
    assert known is not None
    return known


@pytest.mark.parametrize(
    ("amount", "currency", "points"),
    [
        ("9.00", "EUR", 9),
        ("9.99", "EUR", 9),
        ("0.99", "EUR", 0),
        ("1000", "JPY", 1000),
        ("1.999", "KWD", 1),
    ],
)
def test_each_whole_unit_of_any_currency_is_a_point(
    amount: str, currency: str, points: int
) -> None:
    assert after(captured(amount=amount, currency=currency)).points == points


def test_what_is_left_of_one_payment_is_not_kept_for_the_next() -> None:
    assert after(captured("p-1", "1.60"), captured("p-2", "1.60")).points == 2


def test_a_tier_is_told_with_the_payment_that_reached_it() -> None:
    known = after(captured(amount="99.00"))
    assert award(captured("p-2", "1.00"), known) == (
        account(100, Tier.SILVER),
        TierReached(account=CUSTOMER.account, tier=Tier.SILVER, points=100, purchase_id="p-2"),
    )


def test_of_tiers_that_are_reached_at_once_the_highest_is_told() -> None:
    known, told = award(captured(amount="2500.00"), None)
    assert (known.tier, told and told.tier) == (Tier.PLATINUM, Tier.PLATINUM)


def test_a_tier_that_is_made_dearer_is_neither_lost_nor_told_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = after(captured(amount="600.00"))
    monkeypatch.setitem(TIERS, Tier.GOLD, 1000)
    assert award(captured("p-2", "9.00"), known) == (account(609, Tier.GOLD), None)
    assert award(captured("p-3", "999.00"), known) == (account(1599, Tier.GOLD), None)


@given(st.lists(st.decimals("0.01", "3000", places=2), max_size=30))
def test_every_tier_is_told_once_whatever_is_paid(amounts: list[Decimal]) -> None:
    known: Account | None = None
    told = []
    for number, amount in enumerate(amounts):
        known, new = award(captured(f"p-{number}", str(amount)), known)
        told += [new.tier] if new else []
    assert known is None or known.points == sum(map(int, amounts))
    assert told == sorted(set(told), key=[*TIERS].index)
    assert (told[-1] if told else None) == (known.tier if known else None)


@pytest.mark.parametrize("customer", ["", "c-1", "web:customer@example.test", "é" * 1000, "a.b c"])
def test_an_account_is_a_legal_key_and_tells_nothing_of_who_it_belongs_to(customer: str) -> None:
    found = Customer(id=customer, name="Sample Customer", email="customer@example.test").account
    assert escape_key(found) == found
    assert len(found) == 32
    assert not customer or customer not in found


def test_nobody_publishes_an_account_but_loyalty_and_no_subject_names_a_customer() -> None:
    [handler] = derive([service]).handlers
    assert handler.remembers is not None
    payment = msgspec.structs.replace(
        captured(), customer=Customer(id="web:a@b.test", name="A", email="a@b.test")
    )
    assert "@" not in handler.remembers.key(payment)
