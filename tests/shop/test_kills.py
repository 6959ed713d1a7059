"""Purchases of all kinds while every service is killed at random: one outcome, one mail.

With the identities that `jetmesh up` derives, plain and on TLS; who publishes does not log in.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import ssl
import urllib.error
from pathlib import Path
from typing import Any

import nats
import pytest

from tests.shop.conftest import Up, running
from tests.shop.outcomes import check_outcomes, purchase
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(600)  # purchases at their pace, and two starts
ROUNDS = int(os.environ.get("SHOP_KILLS", "1"))
"""Each kills every service once; `make kills` does more of them."""
PURCHASES = 300 * ROUNDS


@pytest.mark.parametrize("options", [[], ["--tls"]], ids=["plain", "tls"])
def test_every_purchase_has_one_outcome_and_one_mail(tmp_path: Path, options: list[str]) -> None:
    chance = random.Random(20)  # noqa: S311 - repeatable, not secret
    purchases = [purchase(number, chance) for number in range(PURCHASES)]
    messages = purchases + chance.sample(purchases, PURCHASES // 4)
    chance.shuffle(messages)
    with running(tmp_path, *options) as shop:
        asyncio.run(publish_while_killing(shop, messages, chance))
        wait_until(lambda: told(shop) >= PURCHASES, within=120, what=lambda: report(shop))
        # a mail may be sent by a service that dies before it says so
        board = wait_until(lambda: counted(shop), within=60, what=lambda: report(shop))
        assert "payments" in shop.nats("micro", "ls").stdout  # as README shows it
        assert "ORDERS" in shop.nats("stream", "report").stdout
        mails = shop.get("sandbox-mail", "/mails.json")
        asyncio.run(check_outcomes(shop.operator, mails, PURCHASES))
        assert board["captured"] + board["declined"] + board["rejected"] == PURCHASES
        assert shop.stop() == 0
        shop.start()  # and it goes on where it stopped, with everything since the first event
        wait_until(lambda: counted(shop) == board, within=60, what=lambda: report(shop))


async def publish_while_killing(
    shop: Up, messages: list[dict[str, Any]], chance: random.Random
) -> None:
    client = await nats.connect(shop.nats_url, tls=authority(shop))
    killing = asyncio.create_task(kill_some(shop, chance))
    for message in messages:
        await client.publish("purchases.created", json.dumps(message).encode())
        await asyncio.sleep(0.02)  # about 40 a second, so that kills meet work
    await client.flush()
    await killing
    await client.close()


def authority(shop: Up) -> ssl.SSLContext | None:
    """What is to be trusted, where `up` made one."""
    ca = shop.state().get("ca")
    return ssl.create_default_context(cafile=ca) if ca else None


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
