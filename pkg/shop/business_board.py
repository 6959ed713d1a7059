"""What the shop is doing, folded from its events.

A purchase's state is made of the first event of each stream, first by sequence. So the board is
the same whatever the order in which events arrive, and however often one of them does.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct

from jetmesh import Record
from shop.business_chart import Chart
from shop.business_rows import ABSURD, Names, Row, Rows, Status, amount_of, units
from shop.plain_text import plain
from shop_contracts import (
    ExpiryTold,
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
    PaymentCaptured,
    PaymentDeclined,
    OrderExpired,
    PaymentRefunded,
    NotificationSent,
    ExpiryTold,
    RefundTold,
)
OUTCOMES: Final = tuple(status for status in Status if status > Status.VALIDATED)

_shown = 20
_longest_currency = 8  # a rejected purchase may call anything a currency
_bars: Final = (0, 0, 1, 2, 3, 4, 4)  # what is in progress, or not paid in time, shares a colour


class Board:
    """Counts, sums and the newest purchases; the module says what it promises."""

    def __init__(self) -> None:
        self.version = 0
        """Grows whenever something visible may have changed."""
        self._numbers: dict[str, int] = {}
        self._rows = Rows()
        self._names = Names()
        self._standing = [0] * len(Status)
        self._told = 0
        self._repeats: set[int] = set()
        self._reasons: Counter[str] = Counter()
        self._declines: Counter[str] = Counter()
        self._revenue: Counter[int] = Counter()
        self._charges: Counter[int] = Counter()
        self._absurd = 0
        self._chart = Chart(len(set(_bars)))
        self._newest: list[tuple[int, str]] = []
        self._reordered = False
        self._folds: dict[type[Struct], Callable[[Row, Any, int], bool]] = {
            PurchaseCreated: self._placed,
            OrderValidated: self._decided,
            OrderRejected: self._decided,
            PaymentCaptured: self._captured,
            PaymentDeclined: self._declined,
            OrderExpired: self._expired,
            PaymentRefunded: self._refunded,
            NotificationSent: self._notified,
            ExpiryTold: self._notified,
            RefundTold: self._notified,
        }

    def apply(self, event: Struct, record: Record) -> None:
        """Fold one event; a repetition changes nothing."""
        key: str = event.purchase_id  # type: ignore[attr-defined] # every event of EVENTS has one
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = self._rows.add()
        row = self._rows.read(number)
        changed = self._folds[type(event)](row, event, record.sequence)
        at = int(record.stored_at.timestamp())
        self._chart.advance(at)
        if not row.since or at < row.since:
            row.since = at
        elif not changed:
            return
        self._move(key, self._rows.read(number), row)
        self._rows.write(number, row)
        self.version += 1

    def snapshot(self) -> dict[str, Any]:
        """Everything visible, as a page or a script reads it."""
        total = sum(self._standing)
        unchecked, unpaid = self._standing[Status.PLACED], self._standing[Status.VALIDATED]
        return {
            "version": self.version,
            "purchases": {
                "total": total,
                "in_progress": unchecked + unpaid,
                "waiting_for_validation": unchecked,
                "waiting_for_payment": unpaid,
                **{outcome.name.lower(): self._standing[outcome] for outcome in OUTCOMES},
                "told": self._told,
                "repeated": len(self._repeats),
            },
            "rates": {s.name.lower(): _share(self._standing[s], total) for s in OUTCOMES},
            "revenue": self._currencies(),
            "uncounted_charges": self._absurd,
            "rejections": _ranked(self._reasons),
            "declines": _ranked(self._declines),
            "chart": self._chart.ranges(),
            "newest": [self._line(key) for _, key in reversed(self._list())],
        }

    def _placed(self, row: Row, event: PurchaseCreated, sequence: int) -> bool:
        if row.placed == sequence:
            return False
        if row.placed:
            repeat = max(row.placed, sequence)
            if repeat in self._repeats:
                return False
            self._repeats.add(repeat)
            row.repeats += 1
            if repeat == sequence:
                return True
        row.placed = sequence
        row.amount = units(event.total)
        row.currency = self._currency(event.currency)
        return True

    def _decided(self, row: Row, event: OrderValidated | OrderRejected, sequence: int) -> bool:
        if 0 < row.order <= sequence:
            return False
        codes = event.reasons if isinstance(event, OrderRejected) else None
        said = ("validated",) if codes is None else ("rejected", *sorted({r.code for r in codes}))
        row.order = sequence
        row.verdict = self._names.number(said)
        return True

    def _captured(self, row: Row, event: PaymentCaptured, sequence: int) -> bool:
        if 0 < row.payment <= sequence:
            return False
        row.payment = sequence
        row.result = self._names.number(("captured",))
        row.charged = units(event.amount)
        row.charged_in = self._currency(event.currency)
        return True

    def _declined(self, row: Row, event: PaymentDeclined, sequence: int) -> bool:
        if 0 < row.payment <= sequence:
            return False
        row.payment = sequence
        row.result = self._names.number(("declined", event.reason))
        row.charged = row.charged_in = 0
        return True

    def _expired(self, row: Row, _event: OrderExpired, _sequence: int) -> bool:
        first = not row.expired
        row.expired = 1
        return first

    def _refunded(self, row: Row, _event: PaymentRefunded, _sequence: int) -> bool:
        first = not row.refunded
        row.refunded = 1
        return first

    def _notified(self, row: Row, _event: Notice, _sequence: int) -> bool:
        first = not row.told
        row.told = 1
        return first

    def _move(self, key: str, before: Row, now: Row) -> None:
        """Take what the purchase was out of every count, and put in what it is."""
        was, status = self._status(before), self._status(now)
        if before.since:
            self._standing[was] -= 1
            self._told -= before.told
        self._standing[status] += 1
        self._told += now.told
        if before.since != now.since or _bars[was] != _bars[status]:
            if before.since:
                self._chart.add(before.since, _bars[was], -1)
            self._chart.add(now.since, _bars[status], 1)
        if was > Status.VALIDATED:
            self._settle(before, was, -1)
        if status > Status.VALIDATED:
            self._settle(now, status, 1)
        if before.placed != now.placed:
            self._rank(key, before.placed, now.placed)

    def _settle(self, row: Row, outcome: Status, by: int) -> None:
        if outcome is Status.REJECTED:
            for code in self._names.value(row.verdict)[1:]:
                self._reasons[code] += by
        elif outcome is Status.DECLINED:
            self._declines[self._names.value(row.result)[1]] += by
        elif outcome is not Status.CAPTURED:
            return
        elif row.charged == ABSURD:
            self._absurd += by
        else:
            self._revenue[row.charged_in] += by * row.charged
            self._charges[row.charged_in] += by

    def _status(self, row: Row) -> Status:
        if row.refunded:
            return Status.REFUNDED
        if row.payment:
            captured = self._names.value(row.result)[0] == "captured"
            return Status.CAPTURED if captured else Status.DECLINED
        if row.expired:
            return Status.EXPIRED
        if row.order:
            validated = self._names.value(row.verdict)[0] == "validated"
            return Status.VALIDATED if validated else Status.REJECTED
        return Status.PLACED

    def _rank(self, key: str, before: int, now: int) -> None:
        """Keep the newest purchases, or remember that they must be looked for again."""
        newest = self._newest
        if before:
            # One that turned out to be older may have to make room for one that is not listed.
            self._reordered = self._reordered or before >= newest[0][0]
        elif len(newest) < _shown or now > newest[0][0]:
            insort(newest, (now, key))
            del newest[:-_shown]

    def _list(self) -> list[tuple[int, str]]:
        if self._reordered:
            placed = ((self._rows.placed(n), key) for key, n in self._numbers.items())
            self._newest = sorted(heapq.nlargest(_shown, (p for p in placed if p[0])))
            self._reordered = False
        return self._newest

    def _line(self, key: str) -> dict[str, Any]:
        row = self._rows.read(self._numbers[key])
        status = self._status(row)
        reasons = {Status.REJECTED: row.verdict, Status.DECLINED: row.result}.get(status)
        currency = self._names.value(row.currency)[0]
        return {
            "purchase_id": key,
            "status": status.name.lower(),
            "reasons": [] if reasons is None else list(self._names.value(reasons)[1:]),
            "amount": None if row.amount == ABSURD else amount_of(row.amount, currency),
            "currency": currency,
            "since": datetime.fromtimestamp(row.since, UTC).isoformat(),
            "repeats": row.repeats,
            "told": bool(row.told),
        }

    def _currencies(self) -> list[dict[str, Any]]:
        counted = [(count, number) for number, count in self._charges.items() if count]
        named = [(-count, self._names.value(number)[0], number) for count, number in counted]
        return [
            {
                "currency": name,
                "amount": amount_of(self._revenue[number], name),
                "purchases": -count,
            }
            for count, name, number in sorted(named)[:_shown]
        ]

    def _currency(self, code: str) -> int:
        return self._names.number((plain(code, _longest_currency),))


def _share(count: int, total: int) -> float:
    return round(count / total, 4) if total else 0.0


def _ranked(counts: Counter[str]) -> list[dict[str, Any]]:
    ranked = sorted((-count, code) for code, count in counts.items() if count)
    return [{"code": str(code), "count": -count} for count, code in ranked[:_shown]]
