"""Purchases of all kinds, and what must have become of them."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane

TOKENS = ("tok_ok",) * 12 + ("tok_insufficient_funds", "tok_expired_card", "tok_flaky")


def purchase(number: int, chance: random.Random) -> dict[str, Any]:
    """One that is captured, declined or rejected, now and then slowly."""
    total = "9.00" if chance.random() < 0.85 else "9.99"
    token = "tok_slow" if number % 100 == 0 else chance.choice(TOKENS)
    return {
        "purchase_id": f"k-{number}",
        "customer": {"id": "c", "name": "Sample Customer", "email": "customer@example.test"},
        "items": [{"sku": "tea", "quantity": 2, "unit_price": "4.50"}],
        "total": total,
        "currency": "EUR",
        "payment_token": token,
    }


async def check_outcomes(nats: NatsSettings, mails: list[dict[str, Any]], purchases: int) -> None:
    """One outcome of each kind and one Message-ID for each, no dead letter.

    The streams are the truth, so they are read.
    """
    async with await ControlPlane.connect(nats, name="check") as control:
        outcomes: Counter[str] = Counter()
        for stream in ("ORDERS", "PAYMENTS", "NOTIFICATIONS"):
            keys = Counter(
                [m.subject.rpartition(".")[2] async for m in control.history(stream, [">"])]
            )
            assert set(keys.values()) == {1}, f"{stream}: a key with more than one outcome"
            outcomes[stream] = len(keys)
        assert outcomes["ORDERS"] == outcomes["NOTIFICATIONS"] == purchases, outcomes
        assert [m async for m in control.history("DEADLETTERS", [">"])] == []
    assert len({mail["message_id"] for mail in mails}) == purchases
