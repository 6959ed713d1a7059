"""300 orders that are paid, expire or are paid too late, while services die: money and mails exact.

Which of them is late, chance has a say in: a payment may wait for a process that was killed. What
must fit together does so whichever it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import urllib.error
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import nats
import pytest

from jetmesh.transport.control import ControlPlane
from tests.shop.conftest import SETTINGS, Up, running
from tests.shop.test_kills import kill
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(400)
ORDERS = 300
TOKENS = ("tok_ok", "tok_slow", "tok_pending")
PRICE = Decimal("9.00")
QUICK = """
[services.fulfilment.settings]
pay_within = "1s"
"""
_HANDLERS = {
    "fulfilment": ("begin", "pay", "decline", "expire", "close"),
    "payments": ("refund",),
    "notifications": ("tell_expired", "tell_refunded"),
}
SOON = "".join(
    f'[services.{service}.handlers.{handler}]\ntimeout = "4s"\nack_wait = "4s"\n'
    for service, handlers in _HANDLERS.items()
    for handler in handlers
)
FACTS = {
    "payments.captured": "",
    "fulfilments.expired": "expired.",
    "refunds.made": "refunded.",
}
"""By the event that is told, how its mail's Message-ID begins."""
ENDS = {
    "paid": {"payments.captured"},
    "expired": {"fulfilments.expired"},
    "refunded": {
        "fulfilments.expired",
        "payments.captured",
        "fulfilments.refund_wanted",
        "refunds.made",
    },
}
"""By the step in which an order ends, the events that led there: each of them once."""


def test_every_order_is_paid_or_expires_and_late_money_goes_back_with_one_mail_for_each_fact(
    tmp_path: Path,
) -> None:
    chance = random.Random(17)  # noqa: S311 - repeatable, not secret
    with running(tmp_path, settings=SETTINGS + QUICK + SOON) as shop:
        asyncio.run(publish_while_killing(shop, chance))
        wait_until(lambda: asyncio.run(is_over(shop)), within=150, what=lambda: report(shop))
        steps, events = asyncio.run(stored(shop))
        assert {key: events[key] for key in steps} == wanted(steps)
        ends = Counter(steps.values())
        assert min(ends[step] for step in ENDS) > 0, ends
        check_money(tmp_path, steps)
        expected = {
            mail_of(key, fact) for key, facts in events.items() for fact in facts if fact in FACTS
        }
        wait_until(lambda: mailed(shop) == expected, within=60, what=lambda: report(shop))
        wait_until(lambda: counted(shop) == ends, within=60, what=lambda: report(shop))
        assert asyncio.run(notices(shop)) == Counter(dict.fromkeys(expected, 1))


def order(number: int) -> dict[str, Any]:
    return {
        "purchase_id": f"f-{number}",
        "customer": {"id": "c", "name": "Sample Customer", "email": "customer@example.test"},
        "items": [{"sku": "tea", "quantity": 2, "unit_price": "4.50"}],
        "total": str(PRICE),
        "currency": "EUR",
        "payment_token": token_of(number),
    }


async def publish_while_killing(shop: Up, chance: random.Random) -> None:
    client = await nats.connect(shop.nats_url)
    killing = asyncio.create_task(kill_some(shop, chance))
    for number in range(ORDERS):
        await client.publish("purchases.created", json.dumps(order(number)).encode())
        await asyncio.sleep(0.03)
        if number == ORDERS - 30:
            await killing  # so that some meet services that live
    await client.flush()
    await client.close()


async def kill_some(shop: Up, chance: random.Random) -> None:
    """The services that the money goes through; each has time to do something in between."""
    for _ in range(3):
        victims = ["order-validation", "payments", "fulfilment", "notifications"]
        chance.shuffle(victims)
        for victim in victims:
            await asyncio.sleep(chance.uniform(0.4, 1.2))
            await kill(shop, victim)


async def is_over(shop: Up) -> bool:
    """Whether each payment that will be made was, and each order stands where it stays."""
    steps, events = await stored(shop)
    paid = {f"f-{number}" for number in range(ORDERS) if token_of(number) != "tok_pending"}
    rest = (
        len(steps) == ORDERS and {key for key, step in steps.items() if step != "expired"} == paid
    )
    return rest and {key: events[key] for key in steps} == wanted(steps)


def wanted(steps: dict[str, str]) -> dict[str, Counter[str]]:
    """Each event of each order once."""
    return {key: Counter(ENDS.get(step, ())) for key, step in steps.items()}


def token_of(number: int) -> str:
    """Most orders are paid at once."""
    return TOKENS[number % 3] if number % 2 else "tok_ok"


async def stored(shop: Up) -> tuple[dict[str, str], dict[str, Counter[str]]]:
    """In which step each order stands, and which events there are of it."""
    steps: dict[str, str] = {}
    events: defaultdict[str, Counter[str]] = defaultdict(Counter)
    async with await ControlPlane.connect(shop.operator, name="check") as control:
        async for message in control.history("STATES_FULFILMENT_ORDERS", [">"]):
            if message.payload:
                found = msgspec.json.decode(message.payload)
                steps[found["purchase_id"]] = found["step"]
        for stream in ("PAYMENTS", "FULFILMENTS", "REFUNDS"):
            async for message in control.history(stream, [">"]):
                subject, _, key = message.subject.rpartition(".")
                if subject != "fulfilments.overdue":
                    events[key][subject] += 1
    return steps, events


async def notices(shop: Up) -> Counter[str]:
    """What is stored of mails, by Message-ID."""
    found = Counter[str]()
    async with await ControlPlane.connect(shop.operator, name="check") as control:
        for stream in ("NOTIFICATIONS", "NOTICES"):
            async for message in control.history(stream, [">"]):
                found[msgspec.json.decode(message.payload)["message_id"]] += 1
    return found


def check_money(root: Path, steps: dict[str, str]) -> None:
    """What the gateway kept is what was paid in time, and nothing went back twice."""
    (journal,) = root.joinpath(".jetmesh").rglob("charges.jsonl")
    charges = [json.loads(line) for line in journal.read_text().splitlines()]
    refunds = Counter(each["key"] for each in charges if each["refunded"])
    captured = {each["key"] for each in charges if each["answer"]["status"] == "captured"}
    assert set(refunds.values()) <= {1}
    ends = Counter(steps.values())
    assert len(captured) == ends["paid"] + ends["refunded"]
    kept = sum(Decimal(each["amount"]) for each in charges if each["key"] not in refunds)
    assert kept == PRICE * ends["paid"]


def mail_of(key: str, fact: str) -> str:
    return f"<purchase.{FACTS[fact]}{key}@example.test>"


def mailed(shop: Up) -> set[str]:
    with contextlib.suppress(OSError, urllib.error.URLError):
        return {mail["message_id"] for mail in shop.get("sandbox-mail", "/mails.json")}
    return set()


def counted(shop: Up) -> Counter[str]:
    with contextlib.suppress(OSError, urllib.error.URLError):
        board = shop.get("business-dashboard", "/api/board")["purchases"]
        names = {"captured": "paid", "expired": "expired", "refunded": "refunded"}
        return Counter({step: board[name] for name, step in names.items()})
    return Counter()


def report(shop: Up) -> str:
    steps, _ = asyncio.run(stored(shop))
    counts = f"{Counter(steps.values())}, {len(mailed(shop))} mails, {counted(shop)}"
    return f"{counts}\n{shop.log.read_text()[-6000:]}"
