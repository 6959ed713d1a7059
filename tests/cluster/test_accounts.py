"""The account of points finds what is missing, too much, or told twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, cast

import pytest

from shop_contracts import Customer
from tests.cluster.chaos.accounts import STATES, TIERS, Accounts
from tests.cluster.chaos.reader import Reader, Stored

KEY = Customer(id="c-1", name="Sample Customer", email="customer@example.test").account


class Streams:
    """What a `Reader` would read, once."""

    def __init__(self) -> None:
        self.stored: dict[str, list[Stored]] = {}

    def add(self, stream: str, subject: str, event: dict[str, Any]) -> None:
        messages = self.stored.setdefault(stream, [])
        messages.append(Stored(1, 1, subject, {}, json.dumps(event).encode()))

    async def new(self, stream: str, *, whole: bool) -> Iterable[Stored]:
        assert whole
        return self.stored.pop(stream, [])


def sound() -> Streams:
    streams = Streams()
    for _ in range(12):
        payment = {"customer": {"id": "c-1"}, "amount": "9.00"}
        streams.add("PAYMENTS", "payments.captured.p-1", payment)
    streams.add("PAYMENTS", "payments.declined.p-2", {"customer": {"id": "c-2"}, "amount": "9.00"})
    for points, tier in ((9, None), (108, "silver")):
        streams.add(STATES, f"states.loyalty.accounts.{KEY}", {"points": points, "tier": tier})
    streams.add(TIERS, f"tiers.reached.{KEY}", {"tier": "silver"})
    return streams


async def problems(streams: Streams) -> list[str]:
    accounts = Accounts(cast("Reader", streams))
    await accounts.read()
    await accounts.read()
    return accounts.problems()


async def test_points_that_are_what_was_paid_and_a_tier_told_once_are_right() -> None:
    assert await problems(sound()) == []


def paid_again(streams: Streams) -> None:
    streams.add("PAYMENTS", "payments.captured.p-3", {"customer": {"id": "c-1"}, "amount": "1.99"})


def counted_twice(streams: Streams) -> None:
    state = {"points": 117, "tier": "silver"}
    streams.add(STATES, f"states.loyalty.accounts.{KEY}", state)


def told_twice(streams: Streams) -> None:
    streams.add(TIERS, f"tiers.reached.{KEY}", {"tier": "silver"})


def never_told(streams: Streams) -> None:
    del streams.stored[TIERS]


def not_reached(streams: Streams) -> None:
    streams.add(STATES, f"states.loyalty.accounts.{KEY}", {"points": 108, "tier": None})


def nobodys(streams: Streams) -> None:
    streams.add(STATES, "states.loyalty.accounts.x", {"points": 9, "tier": None})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (paid_again, "has 108 points of 109 that were paid"),
        (counted_twice, "has 117 points of 108 that were paid"),
        (told_twice, "was told ['silver', 'silver']"),
        (never_told, "was told []"),
        (not_reached, "has 108 points and the tier none"),
        (nobodys, "account x has 9 points of 0 that were paid"),
    ],
)
async def test_whatever_else_is_stored_is_said(
    change: Callable[[Streams], None], told: str
) -> None:
    streams = sound()
    change(streams)
    [problem] = await problems(streams)
    assert told in problem
