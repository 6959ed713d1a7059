"""Purchases and what becomes of them, with the records a broker would give them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from msgspec import Struct

from jetmesh import History, Recalled, Record
from jetmesh.declare import key_of, spec_of
from shop_contracts import (
    Account,
    Channel,
    Customer,
    DeclineReason,
    ExpiryTold,
    Fulfilment,
    FulfilmentStep,
    Item,
    NotificationSent,
    OrderExpired,
    OrderRejected,
    OrderValidated,
    Outcome,
    PaymentCaptured,
    PaymentDeclined,
    PaymentOverdue,
    PaymentRefunded,
    PurchaseCreated,
    Reason,
    RefundTold,
    RefundWanted,
    RejectionCode,
    Tier,
    TierReached,
)

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CUSTOMER = Customer(id="c-1", name="Sample Customer", email="customer@example.test")
ITEMS = (Item(sku="tea", quantity=2, unit_price=Decimal("4.50")),)


def created(key: str = "p-1", **changes: Any) -> PurchaseCreated:
    given: dict[str, Any] = {
        "purchase_id": key,
        "customer": CUSTOMER,
        "items": ITEMS,
        "total": Decimal("9.00"),
        "currency": "EUR",
        "payment_token": "tok_ok",
    }
    return PurchaseCreated(**given | changes)


def validated(key: str = "p-1") -> OrderValidated:
    return OrderValidated(
        purchase_id=key,
        customer=CUSTOMER,
        items=ITEMS,
        total=Decimal("9.00"),
        currency="EUR",
        payment_token="tok_ok",  # noqa: S106 - a token of the sandbox
        validated_at=START,
    )


def rejected(
    key: str = "p-1", *codes: RejectionCode, message: str = "The total is wrong."
) -> OrderRejected:
    return OrderRejected(
        purchase_id=key,
        customer=CUSTOMER,
        items=ITEMS,
        total=Decimal("9.01"),
        currency="EUR",
        reasons=tuple(Reason(code=code, field="total", message=message) for code in codes),
        rejected_at=START,
    )


def captured(key: str = "p-1", amount: str = "9.00", currency: str = "EUR") -> PaymentCaptured:
    return PaymentCaptured(
        purchase_id=key,
        customer=CUSTOMER,
        items=ITEMS,
        amount=Decimal(amount),
        currency=currency,
        reference="ch_1",
        captured_at=START,
    )


def declined(
    key: str = "p-1",
    reason: DeclineReason = DeclineReason.EXPIRED_CARD,
    *,
    message: str = "The card has expired.",
) -> PaymentDeclined:
    return PaymentDeclined(
        purchase_id=key,
        customer=CUSTOMER,
        items=ITEMS,
        amount=Decimal("9.00"),
        currency="EUR",
        reason=reason,
        message=message,
        retryable=False,
        declined_at=START,
    )


def overdue(key: str = "p-1") -> PaymentOverdue:
    return PaymentOverdue(purchase_id=key)


def fulfilment(key: str = "p-1", step: FulfilmentStep = "awaiting_payment") -> Fulfilment:
    return Fulfilment(
        purchase_id=key,
        step=step,
        customer=CUSTOMER,
        total=Decimal("9.00"),
        currency="EUR",
        pay_until=START + timedelta(minutes=15) if step == "awaiting_payment" else None,
    )


def expired(key: str = "p-1") -> OrderExpired:
    return OrderExpired(
        purchase_id=key,
        customer=CUSTOMER,
        total=Decimal("9.00"),
        currency="EUR",
        expired_at=START,
    )


def wanted_back(key: str = "p-1") -> RefundWanted:
    return RefundWanted(
        purchase_id=key,
        customer=CUSTOMER,
        amount=Decimal("9.00"),
        currency="EUR",
        reference="ch_1",
    )


def refunded(key: str = "p-1") -> PaymentRefunded:
    return PaymentRefunded(
        purchase_id=key,
        customer=CUSTOMER,
        amount=Decimal("9.00"),
        currency="EUR",
        reference="ch_1",
        refunded_at=START,
    )


def expiry_told(key: str = "p-1", channel: Channel = Channel.EMAIL) -> ExpiryTold:
    return ExpiryTold(
        purchase_id=key,
        channel=channel,
        recipient="customer@example.test",
        subject=f"Your order {key} has expired",
        sent_at=START,
    )


def refund_told(key: str = "p-1", channel: Channel = Channel.EMAIL) -> RefundTold:
    return RefundTold(
        purchase_id=key,
        channel=channel,
        recipient="customer@example.test",
        subject=f"You got your money for the order {key} back",
        sent_at=START,
    )


def told(
    key: str = "p-1", about: Outcome = Outcome.CAPTURED, channel: Channel = Channel.EMAIL
) -> NotificationSent:
    return NotificationSent(
        purchase_id=key,
        about=about,
        channel=channel,
        recipient="customer@example.test",
        subject=f"Your order {key} is paid",
        sent_at=START,
    )


def account(points: int, tier: Tier | None = None) -> Account:
    return Account(account=CUSTOMER.account, points=points, tier=tier)


def reached(tier: Tier, points: int = 500) -> TierReached:
    return TierReached(account=CUSTOMER.account, tier=tier, points=points, purchase_id="p-1")


@dataclass
class Stored:
    """Gives every event the next sequence of its stream, as the broker does."""

    at: datetime = START
    last: dict[str, int] = field(default_factory=dict)

    def __call__(self, event: Struct, *, after: float = 0) -> tuple[Struct, Record]:
        """`event` and its record, stored `after` seconds from START."""
        spec = spec_of(type(event))
        assert spec is not None
        sequence = self.last[spec.stream] = self.last.get(spec.stream, 0) + 1
        at = self.at + timedelta(seconds=after)
        return event, Record(spec.stream, sequence, spec.subject, at, "")


class Shelf(History):
    """Stored events, read again as from the broker."""

    def __init__(self, *records: Recalled) -> None:
        self.records = list(records)
        self.asked = 0

    async def at(self, stream: str, sequence: int) -> Recalled | None:
        self.asked += 1
        found = (r for r in self.records if (r[1].stream, r[1].sequence) == (stream, sequence))
        return next(found, None)

    async def first(self, event: type[Struct], key: str) -> Recalled | None:
        self.asked += 1
        spec = spec_of(event)
        assert spec is not None
        found = [r for r in self.records if isinstance(r[0], event)]
        found = [r for r in found if key_of(spec, r[0]) == key and r[1].subject != spec.subject]
        return min(found, key=lambda r: r[1].sequence, default=None)


def history(*events: Struct) -> list[tuple[Struct, Record]]:
    """`events` as stored one after another, a second apart."""
    stored = Stored()
    return [stored(event, after=at) for at, event in enumerate(events)]
