"""The account of orders finds what is missing, too much, too early, or paid by the wrong side."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from tests.cluster.chaos.fulfilments import PAY_WITHIN, STATES, Fulfilments
from tests.cluster.chaos.reader import Lines, Reader, Stored

BEGUN = 1_700_000_000_000_000_000
DUE = BEGUN + int(PAY_WITHIN * 1e9)


class Streams:
    """What a `Reader` would read once, the gateway's journal, and the mails."""

    def __init__(self, journal: Path) -> None:
        self.journal = journal
        self.stored: dict[str, list[Stored]] = {}
        self.facts: list[tuple[str, str]] = []

    def add(self, subject: str, at: int = BEGUN, **event: Any) -> None:
        stream = subject.partition(".")[0].upper()
        stream = STATES if stream == "STATES" else stream
        messages = self.stored.setdefault(stream, [])
        messages.append(Stored(1, at, subject, {}, json.dumps(event).encode()))

    def drop(self, subject: str) -> None:
        for stream, messages in self.stored.items():
            self.stored[stream] = [each for each in messages if each.subject != subject]

    def charge(self, key: str, *, refunded: bool = False) -> None:
        entry = {
            "description": f"Purchase {key}",
            "amount": "9.00",
            "answer": {"status": "captured"},
            "refunded": refunded,
        }
        with self.journal.open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def stand(self, key: str, step: str) -> None:
        self.add(f"states.fulfilment.orders.{key}", step=step, total="9.00")

    async def new(self, stream: str, *, whole: bool = False) -> list[Stored]:
        return self.stored.pop(stream, []) if whole or stream == "ORDERS" else []


@pytest.fixture
def streams(tmp_path: Path) -> Streams:
    """One order of each end."""
    streams = Streams(tmp_path / "charges.jsonl")
    for key in ("paid", "declined", "expired", "refunded"):
        streams.add(f"orders.validated.{key}")
        streams.stand(key, key)
    streams.add("payments.declined.declined")
    for key in ("expired", "refunded"):
        streams.add(f"fulfilments.overdue.{key}", DUE)
        streams.add(f"fulfilments.expired.{key}", DUE)
        streams.add(f"notices.expired.{key}")
        streams.facts.append((key, "expired"))
    for key in ("paid", "refunded"):
        streams.add(f"payments.captured.{key}", amount="9.00")
        streams.charge(key)
        streams.facts.append((key, ""))
    streams.add("fulfilments.refund_wanted.refunded")
    streams.add("refunds.made.refunded", amount="9.00")
    streams.add("notices.refunded.refunded")
    streams.charge("refunded", refunded=True)
    streams.facts.append(("refunded", "refunded"))
    return streams


async def problems(streams: Streams) -> list[str]:
    found = Fulfilments(cast("Reader", streams), Lines(streams.journal))
    found.post(streams.facts)
    await found.read()
    await found.read()
    return found.problems()


async def test_orders_that_ended_with_their_money_and_their_mails_are_right(
    streams: Streams,
) -> None:
    assert await problems(streams) == []


async def test_a_deadline_that_rang_while_the_payment_came_is_right(streams: Streams) -> None:
    streams.add("fulfilments.overdue.paid", DUE)
    assert await problems(streams) == []


async def test_an_order_that_is_declined_after_it_expired_is_right(streams: Streams) -> None:
    streams.add("payments.declined.expired")
    assert await problems(streams) == []


def lost_deadline(streams: Streams) -> None:
    streams.drop("fulfilments.overdue.expired")
    streams.drop("fulfilments.expired.expired")
    streams.stand("expired", "awaiting_payment")


def never_begun(streams: Streams) -> None:
    streams.drop("states.fulfilment.orders.paid")


def rang_twice(streams: Streams) -> None:
    streams.add("fulfilments.overdue.expired", DUE)


def expired_twice(streams: Streams) -> None:
    streams.add("fulfilments.expired.expired", DUE)


def expired_early(streams: Streams) -> None:
    streams.drop("fulfilments.expired.expired")
    streams.add("fulfilments.expired.expired", DUE - 500_000_000)


def never_given_back(streams: Streams) -> None:
    streams.drop("refunds.made.refunded")
    streams.stand("refunded", "refunding")


def paid_and_kept(streams: Streams) -> None:
    streams.add("payments.captured.expired", amount="9.00")
    streams.charge("expired")


def given_back_though_paid(streams: Streams) -> None:
    streams.charge("paid", refunded=True)


def charged_in_secret(streams: Streams) -> None:
    streams.charge("declined")


def returned_other_sum(streams: Streams) -> None:
    streams.drop("refunds.made.refunded")
    streams.add("refunds.made.refunded", amount="8.99")


def not_told(streams: Streams) -> None:
    streams.facts.remove(("refunded", "refunded"))


def told_too_much(streams: Streams) -> None:
    streams.facts.append(("paid", "expired"))


def noticed_twice(streams: Streams) -> None:
    streams.add("notices.expired.expired")


def never_validated(streams: Streams) -> None:
    streams.stand("other", "expired")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lost_deadline, "order expired stands in awaiting_payment"),
        (never_begun, "order paid stands in no step"),
        (rang_twice, "order expired is expired, expired 1 times, and its deadline came 2 times"),
        (expired_twice, "expired 2 times, and its deadline came 1 times"),
        (expired_early, "order expired expired 0.50 s too early"),
        (never_given_back, "order refunded stands in refunding"),
        (paid_and_kept, "order expired is expired, and what is stored of it is"),
        (given_back_though_paid, "9.00 is due, the shop kept 9.00 and the gateway 0.00"),
        (charged_in_secret, "order declined is declined: 0 is due, the shop kept 0"),
        (returned_other_sum, "0 is due, the shop kept 0.01 and the gateway 0.00"),
        (not_told, "mails told ['expired'] instead of ['expired', 'refunded']"),
        (told_too_much, "order paid is paid, and mails told ['expired'] instead of []"),
        (noticed_twice, "order expired is expired, and what is stored of it is"),
        (never_validated, "order other was never validated and stands in expired"),
    ],
)
async def test_whatever_else_is_stored_is_said(
    streams: Streams, change: Callable[[Streams], None], told: str
) -> None:
    change(streams)
    [problem] = await problems(streams)
    assert told in problem
