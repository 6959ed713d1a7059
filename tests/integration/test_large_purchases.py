"""A purchase as large as the broker takes ends as any other: with an outcome, and no letter."""

from __future__ import annotations

import json

from jetmesh.protocol.streams import DEADLETTERS
from jetmesh.testing import mesh
from shop.order_validation import service as validation
from shop_contracts import OrderRejected, RejectionCode

LARGEST = 1 << 20


def purchase(key: str, fill: str, lines: int = 1) -> str:
    """One of exactly as many bytes as a message may have."""
    made = {
        "purchase_id": key,
        "customer": {"id": "c-1", "name": "", "email": "customer@example.test"},
        "items": [{"sku": "tea", "quantity": 0, "unit_price": 1}] * lines,
        "total": 1,
        "currency": "EUR",
        "payment_token": "tok_ok",
    }
    room = LARGEST - len(json.dumps(made))
    made["customer"] = {"id": "c-1", "name": fill * room, "email": "customer@example.test"}
    return json.dumps(made)


async def test_a_purchase_that_fills_a_message_is_rejected_and_no_dead_letter() -> None:
    async with mesh(validation) as m:
        for lines in (1, 500, 15_000):
            text = purchase(f"p-{lines}", "x", lines)
            assert len(text) == LARGEST
            await m.publish(f"purchases.created.p-{lines}", text)
        for lines in (1, 500, 15_000):
            rejected = await m.expect(OrderRejected, f"p-{lines}")
            assert [reason.code for reason in rejected.reasons] == [RejectionCode.TOO_LARGE]
        await m.settled()
        assert await m.stored(DEADLETTERS) == []
