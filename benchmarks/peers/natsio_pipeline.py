"""Peer: the best pipeline that natsio's public interface allows, tuned by hand.

Its core client instead of `Consumer.consume` and `publish_async`: one inbox with a callback,
overlapping pull requests, and many publishes in flight whose PubAcks arrive on an inbox of our own.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from itertools import count

import msgspec
import natsio
from natsio import Client, Msg, PendingLimitPolicy

from peers.purchases import OrderValidated, PurchaseCreated, decide

LIMIT = 4096
EXPIRES_NS = 30_000_000_000
HEARTBEAT_NS = 5_000_000_000
NAK = b'-NAK {"delay":1000000000}'
HEARTBEAT = 100

decode = msgspec.json.Decoder(PurchaseCreated).decode
encode = msgspec.json.Encoder().encode


class Pipeline:
    """Pulls continuously from one durable, and settles each delivery when its work is stored."""

    def __init__(self, connection: Client, durable: str) -> None:
        self.connection = connection
        self.next = f"$JS.API.CONSUMER.MSG.NEXT.PURCHASES.{durable}"
        self.inbox = f"{connection.inbox_prefix}.deliveries"
        self.answers = f"{connection.inbox_prefix}.answers"
        self.prefix = len(self.answers) + 1
        self.room = LIMIT
        self.numbers = count()
        self.waiting: dict[str, str] = {}

    async def start(self, workload: str) -> None:
        """Subscribe and ask for the first deliveries."""
        handle = self.process if workload == "process" else self.consume
        block = PendingLimitPolicy.BLOCK
        self.connection.subscribe(self.inbox, cb=handle, policy=block)
        self.connection.subscribe(f"{self.answers}.*", cb=self.stored, policy=block)
        await self.pull()

    async def pull(self) -> None:
        """Ask for as many as there is room for."""
        wish = {"batch": self.room, "expires": EXPIRES_NS, "idle_heartbeat": HEARTBEAT_NS}
        self.room = 0
        await self.connection.publish(self.next, json.dumps(wish).encode(), reply=self.inbox)

    async def settle(self, reply: str, verdict: bytes = b"+ACK") -> None:
        """Say how a delivery ended, and pull when half of the room is free again."""
        await self.connection.publish(reply, verdict)
        self.room += 1
        if self.room >= LIMIT // 2:
            await self.pull()

    async def status(self, message: Msg) -> None:
        """Act on an expired request; a heartbeat needs no act."""
        if message.status is None or message.status.code != HEARTBEAT:
            self.room += int((message.headers or {}).get("Nats-Pending-Messages", 0))
            await self.pull()

    async def consume(self, message: Msg) -> None:
        """Decode, ack."""
        if not message.reply:
            await self.status(message)
            return
        decode(message.payload)
        await self.settle(message.reply)

    async def process(self, message: Msg) -> None:
        """Decode, decide, publish guarded; the ack follows the PubAck."""
        reply = message.reply
        if not reply:
            await self.status(message)
            return
        outcome = decide(decode(message.payload))
        subject = "orders.validated" if isinstance(outcome, OrderValidated) else "orders.rejected"
        key = outcome.purchase_id
        number = str(next(self.numbers))
        self.waiting[number] = reply
        await self.connection.publish(
            f"{subject}.{key}",
            encode(outcome),
            reply=f"{self.answers}.{number}",
            headers={
                "Nats-Msg-Id": f"bench:decide:PURCHASES:{reply.split('.')[-4]}:{subject}",
                "Nats-Expected-Last-Subject-Sequence": "0",
                "Nats-Expected-Last-Subject-Sequence-Subject": f"orders.*.{key}",
            },
        )

    async def stored(self, answer: Msg) -> None:
        """Ack the input of a stored output; anything refused is delivered again."""
        reply = self.waiting.pop(answer.subject[self.prefix :])
        await self.settle(reply, NAK if b'"error"' in answer.payload else b"+ACK")


async def main() -> None:
    """Work until SIGTERM."""
    done = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, done.set)
    async with await natsio.connect(os.environ["NATS_URL"], name="bench-natsio") as connection:
        await Pipeline(connection, os.environ["NATS_DURABLE"]).start(os.environ["WORKLOAD"])
        await done.wait()


if __name__ == "__main__":
    asyncio.run(main())
