"""One order's story, folded from its events.

What a page need not show is left out: the payment token and most of the address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final

import msgspec
from msgspec import Struct

from jetmesh import Record
from shop.money import shown
from shop.plain_text import plain
from shop_contracts import (
    ExpiryTold,
    Fulfilment,
    NotificationSent,
    OrderExpired,
    OrderRejected,
    OrderValidated,
    PaymentCaptured,
    PaymentDeclined,
    PaymentRefunded,
    PurchaseCreated,
    RefundTold,
)
from shop_contracts.notifications import Notice

EVENTS: Final = (
    PurchaseCreated,
    OrderValidated,
    OrderRejected,
    Fulfilment,
    PaymentCaptured,
    PaymentDeclined,
    OrderExpired,
    PaymentRefunded,
    NotificationSent,
    ExpiryTold,
    RefundTold,
)

_longest_text = 200
_most_lines = 50
MOST_REPEATS: Final = 20


class Placed(Struct):
    """The purchase as first sent: the one with the lowest sequence, and the one that counts."""

    sequence: int
    at: float
    digest: bytes
    """Of the whole content: tells whether a repetition said the same."""
    name: str
    address: str
    """Masked."""
    lines: list[tuple[str, str, str]]
    """Article, quantity, unit price: the first fifty."""
    more_lines: int
    total: str


class Repeat(Struct, order=True):
    """The same purchase id, sent again."""

    sequence: int
    at: float
    digest: bytes


class Checked(Struct):
    """What validation decided."""

    sequence: int
    at: float
    sound: bool
    reasons: list[tuple[str, str, str]]
    """Code, field, message."""


class Paid(Struct):
    """How the payment ended."""

    sequence: int
    at: float
    captured: bool
    amount: str
    account: str = ""
    """Whose points it brought; empty when nothing was captured."""
    reason: str = ""
    message: str = ""
    retryable: bool = False


class Stands(Struct):
    """Where fulfilment has come to: the newest that it remembers."""

    sequence: int
    until: str
    """When the time for paying is over; empty where nobody waits for that."""


class Late(Struct):
    """What came of not being paid in time."""

    sequence: int
    at: float
    amount: str


class Told(Struct):
    """What the customer was told."""

    sequence: int
    at: float
    about: str
    channel: str
    address: str
    """Masked."""
    subject: str
    reason: str


class Story(Struct):
    """Everything known of one order; each part is its stream's first event, first by sequence.

    But for what is remembered: of that the newest counts.
    """

    placed: Placed | None = None
    repeats: list[Repeat] = msgspec.field(default_factory=list)
    """The first twenty of them, in the order of the stream."""
    checked: Checked | None = None
    paid: Paid | None = None
    stands: Stands | None = None
    expired: Late | None = None
    refunded: Late | None = None
    told: dict[str, Told] = msgspec.field(default_factory=dict)
    """By the kind of its event."""


_content: Final = msgspec.json.Encoder().encode  # msgpack has no integers beyond 64 bits


def fold(events: Iterable[tuple[Struct, Record]]) -> Story:
    """The story that the events of one order tell, the same in whatever order they come."""
    story = Story()
    for event, record in events:
        _folds[type(event)](story, event, record.sequence, record.stored_at.timestamp())
    return story


def mask(address: str) -> str:
    """An address by which only who knows it recognises it: `c•••@example.test`."""
    local, at, domain = address.rpartition("@")
    return f"{plain(local[:1])}•••@{plain(domain)}" if at else f"{plain(address[:1])}•••"


def _placed(story: Story, event: PurchaseCreated, sequence: int, at: float) -> None:
    first = story.placed
    if first is not None and first.sequence == sequence:
        return
    digest = blake2b(_content(event), digest_size=8).digest()
    if first is not None and first.sequence < sequence:
        _repeat(story, Repeat(sequence, at, digest))
        return
    if first is not None:
        _repeat(story, Repeat(first.sequence, first.at, first.digest))
    lines = [
        (plain(item.sku), _whole(item.quantity), shown(item.unit_price, event.currency))
        for item in event.items[:_most_lines]
    ]
    story.placed = Placed(
        sequence=sequence,
        at=at,
        digest=digest,
        name=plain(event.customer.name),
        address=mask(event.customer.email),
        lines=lines,
        more_lines=len(event.items) - len(lines),
        total=shown(event.total, event.currency),
    )


def _repeat(story: Story, repeat: Repeat) -> None:
    if all(known.sequence != repeat.sequence for known in story.repeats):
        story.repeats = sorted([*story.repeats, repeat])[:MOST_REPEATS]


def _checked(story: Story, event: OrderValidated | OrderRejected, sequence: int, at: float) -> None:
    if story.checked is None or sequence < story.checked.sequence:
        rejected = isinstance(event, OrderRejected)
        reasons = event.reasons[:_most_lines] if isinstance(event, OrderRejected) else ()
        told = [(str(r.code), _text(r.field), _text(r.message)) for r in reasons]
        story.checked = Checked(sequence, at, not rejected, told)


def _stands(story: Story, event: Fulfilment, sequence: int, _: float) -> None:
    if story.stands is None or sequence > story.stands.sequence:
        until = f"{event.pay_until:%Y-%m-%d %H:%M:%S} UTC" if event.pay_until else ""
        story.stands = Stands(sequence, until)


def _captured(story: Story, event: PaymentCaptured, sequence: int, at: float) -> None:
    if story.paid is None or sequence < story.paid.sequence:
        amount = shown(event.amount, event.currency)
        account = event.customer.account
        story.paid = Paid(sequence=sequence, at=at, captured=True, amount=amount, account=account)


def _declined(story: Story, event: PaymentDeclined, sequence: int, at: float) -> None:
    if story.paid is None or sequence < story.paid.sequence:
        story.paid = Paid(
            sequence=sequence,
            at=at,
            captured=False,
            amount=shown(event.amount, event.currency),
            reason=str(event.reason),
            message=_text(event.message),
            retryable=event.retryable,
        )


def _expired(story: Story, event: OrderExpired, sequence: int, at: float) -> None:
    if story.expired is None or sequence < story.expired.sequence:
        story.expired = Late(sequence, at, shown(event.total, event.currency))


def _refunded(story: Story, event: PaymentRefunded, sequence: int, at: float) -> None:
    if story.refunded is None or sequence < story.refunded.sequence:
        story.refunded = Late(sequence, at, shown(event.amount, event.currency))


def _told(story: Story, event: Notice, sequence: int, at: float) -> None:
    place = type(event).__name__  # of each kind the first one counts
    if place not in story.told or sequence < story.told[place].sequence:
        story.told[place] = Told(
            sequence=sequence,
            at=at,
            about=_about(event),
            channel=str(event.channel),
            address=mask(event.recipient),
            subject=_text(event.subject),
            reason=_text(event.reason),
        )


def _about(event: Notice) -> str:
    if isinstance(event, NotificationSent):
        return str(event.about)
    return "expired" if isinstance(event, ExpiryTold) else "refunded"


_Fold = Callable[[Story, Any, int, float], None]
_folds: Final[dict[type[Struct], _Fold]] = {
    PurchaseCreated: _placed,
    OrderValidated: _checked,
    OrderRejected: _checked,
    Fulfilment: _stands,
    PaymentCaptured: _captured,
    PaymentDeclined: _declined,
    OrderExpired: _expired,
    PaymentRefunded: _refunded,
    NotificationSent: _told,
    ExpiryTold: _told,
    RefundTold: _told,
}


def _text(text: str) -> str:
    return plain(text, _longest_text)


def _whole(number: int) -> str:
    return str(number) if abs(number) < 10**7 else "very many"


def moment(at: float) -> str:
    """A time as pages and scripts read it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
