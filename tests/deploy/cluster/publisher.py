"""Runs in a pod: publish purchases at a rate until SIGTERM; print what was acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from itertools import count
from typing import Any

from jetmesh.errors import BrokerError
from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane

LAST_TRIES = 30.0
"""Seconds after SIGTERM in which what was begun may still be acknowledged."""


def purchase(key: str, card: str) -> dict[str, Any]:
    """One in ten is declined, one in ten rejected: every way through the shop is taken."""
    number = int(key.rpartition("-")[2])
    return {
        "purchase_id": key,
        "customer": {"id": "c-1", "name": "Sample Customer", "email": "customer@example.test"},
        "items": [{"sku": "tea", "quantity": 2, "unit_price": "4.50"}],
        "total": "1.00" if number % 10 == 1 else "9.00",
        "currency": "EUR",
        "payment_token": "tok_insufficient_funds" if number % 10 == 2 else card,
    }


async def main() -> None:
    """Every purchase is published until it has its PubAck, with an id that makes it one."""
    prefix, rate, card = sys.argv[1], float(sys.argv[2]), sys.argv[3]
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    nats = NatsSettings(
        url="nats://nats:4222",
        user=os.environ["JETMESH__NATS__USER"],
        password=os.environ["JETMESH__NATS__PASSWORD"],
    )
    acknowledged: list[str] = []
    begun: set[asyncio.Task[None]] = set()
    async with await ControlPlane.connect(nats, name="publisher", patient=True) as control:
        say({"publishing": prefix})
        start = asyncio.get_running_loop().time()
        for number in count():
            key = f"{prefix}-{number}"
            task = asyncio.create_task(publish(control, key, card, acknowledged))
            begun.add(task)
            pause = start + (number + 1) / rate - asyncio.get_running_loop().time()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), max(pause, 0.0))
                break
        seconds = asyncio.get_running_loop().time() - start
        _, late = await asyncio.wait(begun, timeout=LAST_TRIES)
        for task in late:
            task.cancel()
    say({"begun": len(begun), "seconds": seconds, "acknowledged": acknowledged})


async def publish(control: ControlPlane, key: str, card: str, acknowledged: list[str]) -> None:
    payload = json.dumps(purchase(key, card)).encode()
    while True:
        try:
            await control.publish(f"purchases.created.{key}", payload, {"Nats-Msg-Id": key})
        except BrokerError:
            await asyncio.sleep(0.5)
        else:
            acknowledged.append(key)
            return


def say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
