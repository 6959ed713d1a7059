"""Whether each order ended in exactly one step, with the money and the mails that belong to it.

Reckoned from what is stored, from the gateway's journal and from the mails, with none of the mesh's
or the shop's own code. Which orders expire, chance has a say in: a payment may wait for a leader.
What must fit together does so whichever it is.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from time import time
from typing import Any, Final

from tests.cluster.chaos.reader import Lines, Reader, Stored

STATES: Final = "STATES_FULFILMENT_ORDERS"
STREAMS: Final = ("FULFILMENTS", "REFUNDS", "NOTICES")
PAY_WITHIN: Final = 2.0
"""Seconds; what the gateway answers slowly is too late."""
_OVERDUE: Final = "fulfilments.overdue"
_VALIDATED: Final = "orders.validated"
_LATE: Final = {"fulfilments.expired": 1, "notices.expired": 1}
_ENDS: Final[dict[str, Counter[str]]] = {
    "paid": Counter({"payments.captured": 1}),
    "declined": Counter({"payments.declined": 1}),
    "expired": Counter(_LATE),
    "refunded": Counter(
        {
            **_LATE,
            "payments.captured": 1,
            "fulfilments.refund_wanted": 1,
            "refunds.made": 1,
            "notices.refunded": 1,
        }
    ),
}
"""By the step in which an order ends, what is stored of it: each once."""
_MAILS: Final = {"expired": {"expired"}, "refunded": {"expired", "refunded"}}


@dataclass(slots=True)
class Order:
    """Everything known of one order."""

    step: str = ""
    validated: int = 0
    """When, in nanoseconds."""
    expired: int = 0
    events: Counter[str] = field(default_factory=Counter)
    mails: set[str] = field(default_factory=set)
    total: Decimal = Decimal(0)
    captured: Decimal = Decimal(0)
    returned: Decimal = Decimal(0)
    charged: Decimal = Decimal(0)
    """At the gateway, which is asked nothing but its journal."""
    given_back: Decimal = Decimal(0)

    @property
    def kept(self) -> tuple[Decimal, Decimal]:
        """What the shop and the gateway say that is left of the customer's money."""
        return self.captured - self.returned, self.charged - self.given_back


class Fulfilments:
    """Folds what was read; `problems` says what is not as it should be, a sentence each."""

    def __init__(self, reader: Reader, charges: Lines) -> None:
        self.orders: dict[str, Order] = {}
        self._reader = reader
        self._charges = charges
        self._touched: set[str] = set()
        """Orders of which something was read since they were right."""

    async def read(self) -> None:
        """Take over whatever is new.

        Raises:
            nats.errors.Error, TimeoutError: the cluster does not answer.
        """
        for message in await self._reader.new("ORDERS"):
            if message.subject.startswith(f"{_VALIDATED}."):
                self._order(message).validated = message.nanoseconds
        for stream in ("PAYMENTS", *STREAMS):
            for message in await self._reader.new(stream, whole=True):
                self._event(message)
        for message in await self._reader.new(STATES, whole=True):
            state = json.loads(message.payload)
            order = self._order(message)
            order.step, order.total = state["step"], Decimal(state["total"])
        for line in self._charges.new():
            self._charge(json.loads(line))

    def post(self, facts: Iterable[tuple[str, str]]) -> None:
        """Take over mails, each as its purchase and its fact; those of payments are not ours."""
        for key, fact in facts:
            if fact:
                self._touch(key).mails.add(fact)

    def ends(self) -> Counter[str]:
        """How many orders stand in each step."""
        return Counter(order.step for order in self.orders.values() if order.step)

    def problems(self) -> list[str]:
        """What is wrong when nothing is on its way any more."""
        found = []
        for key in sorted(self._touched):
            if problem := _problem(self.orders[key]):
                found.append(f"order {key} {problem}")
            else:
                self._touched.discard(key)
        return found

    def forget(self) -> None:
        """What is wrong by now was told: the next fault is not to blame for it."""
        self._touched.clear()

    def _event(self, message: Stored) -> None:
        order, kind = self._order(message), message.subject.rpartition(".")[0]
        order.events[kind] += 1
        if kind == "payments.captured":
            order.captured += _amount(message)
        elif kind == "refunds.made":
            order.returned += _amount(message)
        elif kind == "fulfilments.expired":
            order.expired = message.nanoseconds

    def _charge(self, entry: dict[str, Any]) -> None:
        """A line of the gateway's journal: a charge is in it again when it is given back."""
        if entry["answer"]["status"] == "captured":
            order = self._touch(entry["description"].removeprefix("Purchase "))
            if entry.get("refunded"):
                order.given_back += Decimal(entry["amount"])
            else:
                order.charged += Decimal(entry["amount"])

    def _order(self, message: Stored) -> Order:
        return self._touch(message.subject.rpartition(".")[2])

    def _touch(self, key: str) -> Order:
        self._touched.add(key)
        return self.orders.setdefault(key, Order())


def _amount(message: Stored) -> Decimal:
    return Decimal(json.loads(message.payload)["amount"])


def _problem(order: Order) -> str:
    """What is wrong with an order, empty when nothing is."""
    wanted = _ENDS.get(order.step)
    if not order.validated:
        return f"was never validated and stands in {order.step or 'no step'}"
    if wanted is None:
        waits = time() - order.validated / 1e9 - PAY_WITHIN
        return f"stands in {order.step or 'no step'}, {waits:.1f} s after its deadline"
    return _of_deadline(order) or _of_facts(order, wanted) or _of_money(order)


def _of_deadline(order: Order) -> str:
    rung, expired = order.events[_OVERDUE], order.events["fulfilments.expired"]
    # one that rang while the payment came is let be: so it may be there of any order
    if rung > 1 or expired > rung:
        return f"is {order.step}, expired {expired} times, and its deadline came {rung} times"
    early = order.validated + PAY_WITHIN * 1e9 - order.expired
    if expired and early > 0:
        return f"expired {early / 1e9:.2f} s too early"
    return ""


def _of_facts(order: Order, wanted: Counter[str]) -> str:
    stored = +Counter({kind: n for kind, n in order.events.items() if kind != _OVERDUE})
    if order.step == "expired":
        stored["payments.declined"] = 0  # which may come later, and changes nothing
        stored = +stored
    if stored != wanted:
        return f"is {order.step}, and what is stored of it is {dict(stored)}"
    if order.mails != (due := _MAILS.get(order.step, set())):
        return f"is {order.step}, and mails told {sorted(order.mails)} instead of {sorted(due)}"
    return ""


def _of_money(order: Order) -> str:
    due = order.total if order.step == "paid" else Decimal(0)
    if order.kept != (due, due):
        shop, gateway = order.kept
        return f"is {order.step}: {due} is due, the shop kept {shop} and the gateway {gateway}"
    return ""
