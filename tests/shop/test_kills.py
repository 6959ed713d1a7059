"""500 purchases of all kinds while every service is killed at random: one outcome, one mail."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import urllib.error
from collections import Counter
from pathlib import Path
from typing import Any

import nats

from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane
from tests.shop.conftest import Up, running, wait_until

PURCHASES = 500
ROUNDS = 3
TOKENS = ("tok_ok",) * 12 + ("tok_insufficient_funds", "tok_expired_card", "tok_flaky")


def purchase(number: int, chance: random.Random) -> dict[str, Any]:
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


def test_every_purchase_has_one_outcome_and_one_mail(tmp_path: Path) -> None:
    chance = random.Random(20)  # noqa: S311 - repeatable, not secret
    purchases = [purchase(number, chance) for number in range(PURCHASES)]
    messages = purchases + chance.sample(purchases, PURCHASES // 4)
    chance.shuffle(messages)
    with running(tmp_path) as shop:
        asyncio.run(publish_while_killing(shop, messages, chance))
        wait_until(lambda: told(shop) >= PURCHASES, within=120, what=lambda: report(shop))
        asyncio.run(check(shop))
        board = wait_until(lambda: counted(shop), within=20, what=lambda: report(shop))
        assert board["captured"] + board["declined"] + board["rejected"] == PURCHASES
        assert shop.stop() == 0
        shop.start()  # and it goes on where it stopped, with everything since the first event
        wait_until(lambda: counted(shop) == board, within=20, what=lambda: report(shop))


async def publish_while_killing(
    shop: Up, messages: list[dict[str, Any]], chance: random.Random
) -> None:
    client = await nats.connect(shop.nats_url)
    killing = asyncio.create_task(kill_some(shop, chance))
    for message in messages:
        await client.publish("purchases.created", json.dumps(message).encode())
        await asyncio.sleep(0.02)  # about 40 a second, so that kills meet work
    await client.flush()
    await killing
    await client.close()


async def kill_some(shop: Up, chance: random.Random) -> None:
    """Kill every service `ROUNDS` times, in an order and at moments left to chance."""
    victims = sorted(shop.state()["services"]) * ROUNDS
    chance.shuffle(victims)
    for victim in victims:
        await asyncio.sleep(chance.uniform(0.3, 1.2))
        await kill(shop, victim)


async def kill(shop: Up, victim: str) -> None:
    """Kill a service as soon as it has a process: it may just be starting again."""
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(OSError, ValueError):
                if pid := shop.state()["services"][victim]["pid"]:
                    os.kill(pid, signal.SIGKILL)
                    return
            await asyncio.sleep(0.05)


def told(shop: Up) -> int:
    with contextlib.suppress(OSError, urllib.error.URLError):
        return int(shop.get("sandbox-mail", "/mails.json?count_only")["distinct"])
    return 0


def counted(shop: Up) -> dict[str, int] | None:
    with contextlib.suppress(OSError, urllib.error.URLError):
        board: dict[str, int] = shop.get("business-dashboard", "/api/board")["purchases"]
        if board["told"] == PURCHASES and not board["in_progress"]:
            return board
    return None


def report(shop: Up) -> str:
    return f"{told(shop)} told\n{shop.log.read_text()[-6000:]}"


async def check(shop: Up) -> None:
    """Read the streams, which are the truth."""
    async with await ControlPlane.connect(NatsSettings(url=shop.nats_url), name="check") as control:
        outcomes: Counter[str] = Counter()
        for stream in ("ORDERS", "PAYMENTS", "NOTIFICATIONS"):
            keys = Counter(
                [m.subject.rpartition(".")[2] async for m in control.history(stream, [">"])]
            )
            assert set(keys.values()) == {1}, f"{stream}: a key with more than one outcome"
            outcomes[stream] = len(keys)
        assert outcomes["ORDERS"] == outcomes["NOTIFICATIONS"] == PURCHASES
        assert [m async for m in control.history("DEADLETTERS", [">"])] == []
    by_id = Counter(mail["message_id"] for mail in shop.get("sandbox-mail", "/mails.json"))
    assert len(by_id) == PURCHASES
