"""Peer: FastStream as its users write it: a pull subscriber, msgspec types, an awaited publish.

Its best settings are used: no access log, and one fetch of many messages, which FastStream
handles concurrently (`max_workers` is slower than that).
"""

from __future__ import annotations

import asyncio
import os

from fast_depends.msgspec import MsgSpecSerializer
from faststream import AckPolicy, FastStream
from faststream.nats import JStream, NatsBroker, NatsMessage, PullSub

from peers.purchases import OrderValidated, PurchaseCreated, decide

BATCH = int(os.environ.get("FASTSTREAM_BATCH", "256"))

broker = NatsBroker(os.environ["NATS_URL"], serializer=MsgSpecSerializer(), logger=None)
app = FastStream(broker, logger=None)
subscriber = broker.subscriber(
    "purchases.created",
    stream=JStream("PURCHASES", declare=False),
    durable=os.environ["NATS_DURABLE"],
    pull_sub=PullSub(batch_size=BATCH, timeout=5),
    ack_policy=AckPolicy.NACK_ON_ERROR,
)


async def consume(purchase: PurchaseCreated) -> None:
    """Take note and do nothing."""


async def process(purchase: PurchaseCreated, message: NatsMessage) -> None:
    """Decide and publish; FastStream acks when this returns."""
    outcome = decide(purchase)
    subject = "orders.validated" if isinstance(outcome, OrderValidated) else "orders.rejected"
    sequence = message.raw_message.metadata.sequence.stream
    await broker.publish(
        outcome,
        f"{subject}.{outcome.purchase_id}",
        headers={
            "Nats-Msg-Id": f"bench:decide:PURCHASES:{sequence}:{subject}",
            "Nats-Expected-Last-Subject-Sequence": "0",
            "Nats-Expected-Last-Subject-Sequence-Subject": f"orders.*.{outcome.purchase_id}",
        },
        stream="ORDERS",
        timeout=10,
    )


subscriber(process if os.environ["WORKLOAD"] == "process" else consume)

if __name__ == "__main__":
    asyncio.run(app.run())
