"""`helm test`: publish a purchase, wait for its outcome and for the mail about it."""  # noqa: INP001 - it is run as a file

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from uuid import uuid4

import httpx

from jetmesh.operate.project import find_project
from jetmesh.transport.control import ControlPlane

SECONDS = 60
KEY = f"helm-test-{uuid4()}"
PURCHASE = {
    "purchase_id": KEY,
    "customer": {"id": "c-1", "name": "Sample Customer", "email": "customer@example.test"},
    "items": [{"sku": "tea", "quantity": 2, "unit_price": "4.50"}],
    "total": "9.00",
    "currency": "EUR",
    "payment_token": "tok_ok",
}


async def main() -> None:
    """Say what happened, step by step; exit with 1 when a step does not come."""
    nats = find_project().load().loaded.settings.nats
    async with await ControlPlane.connect(nats, name="helm-test") as control:
        ack = await control.publish(f"purchases.created.{KEY}", json.dumps(PURCHASE).encode())
        say(f"purchase {KEY} stored as {ack.stream} {ack.sequence}")
        outcome = await stored(control, "PAYMENTS", f"payments.*.{KEY}")
        say(f"outcome {outcome[0]}")
        told, event = await stored(control, "NOTIFICATIONS", f"notifications.sent.{KEY}")
        say(f"{told}: {event['channel']}, {event['subject']}")
    if os.environ.get("MAILS"):
        await asyncio.to_thread(mailed, event["message_id"])
        say("the mail is in the sandbox's inbox, once")


async def stored(control: ControlPlane, stream: str, subject: str) -> tuple[str, dict[str, str]]:
    """The event on `subject`, as soon as it is there."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        found = await control.last(stream, subject)
        if found is not None:
            return found.subject, json.loads(found.payload)
        await asyncio.sleep(0.1)
    sys.exit(f"No {subject} in {SECONDS} s; kubectl get pods and /readyz say who is not ready.")


def mailed(message_id: str) -> None:
    """Find the mail among the sandbox's, once."""
    mails = httpx.get(os.environ["MAILS"]).raise_for_status().json()
    counts = [mail["count"] for mail in mails if mail["message_id"] == message_id]
    if counts != [1]:
        sys.exit(f"The mail {message_id} should be there once; counted: {counts}.")


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


asyncio.run(main())
