"""A steady load that knows exactly what the broker acknowledged."""

from __future__ import annotations

import asyncio
import json
import time
from random import Random
from typing import Final

from jetmesh import wire
from jetmesh.transport.dataplane import DataPlane
from jetmesh.transport.seam import Message
from tests.cluster.chaos.packing import POISON

RATE: Final = 120
"""Purchases a second."""
_TICK_SECONDS: Final = 0.02
_TWICE: Final = 20
"""Every so many purchases one is sent a second time, as by a customer who presses twice."""
_SETTLE_SECONDS: Final = 90.0
PENDING: Final = "tok_pending"
"""The gateway never decides it, so the order expires and the charge is given up."""
_TOKENS: Final = (
    *("tok_ok",) * 70,
    *("tok_insufficient_funds", "tok_expired_card", "tok_gone") * 2,
    *("tok_flaky",) * 2,  # refused twice, so its second retry goes over the lane
    "tok_slow",  # so slow that the order has expired by then
    PENDING,
)
_GARBAGE: Final = (b"\xff\xfe\x00garbage", b"", b"{", b'{"purchase_id": 7}', b"[]" * 40)


class Sent:
    """One published message; the data plane sends it again until its fate is known."""

    __slots__ = ("_load", "key", "number")

    def __init__(self, load: Load, key: str, number: int) -> None:
        self._load = load
        self.key = key
        self.number = number

    def on_stored(self, _: bytes) -> None:
        self._load.on_stored(self)

    def on_duplicate(self, _: Message, __: int) -> None:
        self._load.on_stored(self)  # nobody else takes these ids

    def on_decided(self) -> None:
        self._load.refused.append(f"{self.key}: refused as decided, though it has no guard")

    def on_impossible(self, reason: str) -> None:
        self._load.refused.append(f"{self.key}: {reason}")


class Load:
    """Publishes purchases of all kinds at their pace, whatever becomes of those before.

    The message id of each is `<key>:<number>`; garbage is `garbage-<n>:1`.
    """

    def __init__(self, plane: DataPlane, chance: Random, *, rate: int = RATE) -> None:
        self.acknowledged: set[tuple[str, int]] = set()
        """(key, number) of every message that has its PubAck."""
        self.open: set[str] = set()
        """Keys of acknowledged purchases whose end nobody has verified yet."""
        self.purchases = 0
        """How many keys are acknowledged."""
        self.sent: set[str] = set()
        """Keys of every purchase published, acknowledged or not."""
        self.poisons: set[str] = set()
        self.pending: set[str] = set()
        """Keys of purchases whose payment is never decided."""
        self.garbage_stored: list[str] = []
        """Keys of acknowledged garbage."""
        self.refused: list[str] = []
        """What the broker would not take; nothing should be."""
        self.rate = rate
        self._plane = plane
        self._chance = chance
        self._count = 0
        self._garbage = 0
        self._due = 0
        """Second presses that are still to come."""
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Published and not acknowledged yet."""
        return len(self._plane.publishes) + self._due

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Publish no more, and return once everything published is acknowledged.

        Raises:
            AssertionError: the broker does not acknowledge it in 90 s.
        """
        if self._task is not None:
            self._task.cancel()
            self._task = None
        deadline = time.monotonic() + _SETTLE_SECONDS
        while self.waiting:
            assert time.monotonic() < deadline, f"{self.waiting} messages were never acknowledged"
            await asyncio.sleep(_TICK_SECONDS)

    def poison(self) -> str:
        """A purchase that kills whoever packs it; its key."""
        return self._buy(POISON)

    def garbage(self) -> None:
        """Bytes that are no purchase, on the subject of purchases."""
        self._garbage += 1
        payload = _GARBAGE[self._garbage % len(_GARBAGE)]
        self._publish(b"purchases.created", payload, Sent(self, f"garbage-{self._garbage}", 1))

    def on_stored(self, sent: Sent) -> None:
        self.acknowledged.add((sent.key, sent.number))
        if sent.key.startswith("garbage"):
            self.garbage_stored.append(sent.key)
            return
        if sent.number > 1:
            return
        self.purchases += 1
        self.open.add(sent.key)
        if sent.key not in self.poisons and self._chance.randrange(_TWICE) == 0:
            self._due += 1
            asyncio.get_running_loop().call_later(0.2, self._again, sent.key)

    async def _run(self) -> None:
        begun, before = time.monotonic(), self._count
        while True:
            due = before + int((time.monotonic() - begun) * self.rate)
            while self._count < due:
                self._buy(f"c-{self._count % 100}")
            await asyncio.sleep(_TICK_SECONDS)

    def _buy(self, customer: str) -> str:
        self._count += 1
        key = f"p-{self._count}"
        self.sent.add(key)
        if customer == POISON:
            self.poisons.add(key)
        # every tenth as a person types it into the nats CLI, without the key in the subject
        subject = "purchases.created" + ("" if self._count % 10 == 0 else f".{key}")
        self._publish(subject.encode(), self._purchase(key, customer), Sent(self, key, 1))
        return key

    def _again(self, key: str) -> None:
        self._due -= 1
        payload = self._purchase(key, "c-again")
        self._publish(f"purchases.created.{key}".encode(), payload, Sent(self, key, 2))

    def _publish(self, subject: bytes, payload: bytes, sent: Sent) -> None:
        headers = wire.block({"Nats-Msg-Id": f"{sent.key}:{sent.number}"})
        self._plane.publish(subject, headers, payload, sent)

    def _purchase(self, key: str, customer: str) -> bytes:
        """One in 20 does not add up; of the others one in 13 is declined, one in 40 retried.

        One in 80 is paid too late, and one never.
        """
        sound = self._chance.randrange(20) > 0
        token = self._chance.choice(_TOKENS)
        if token == PENDING:
            self.pending.add(key)
        purchase = {
            "purchase_id": key,
            "customer": {
                "id": customer,
                "name": "Sample Customer",
                "email": "customer@example.test",
            },
            "items": [{"sku": "tea", "quantity": 2, "unit_price": "4.50"}],
            "total": "9.00" if sound else "9.99",
            "currency": "EUR",
            "payment_token": token,
        }
        return json.dumps(purchase).encode()
