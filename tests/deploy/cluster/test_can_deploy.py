"""An upgrade whose code cannot read what is stored is refused before anything changes."""

from __future__ import annotations

import asyncio

import pytest

from jetmesh.protocol.headers import MESSAGE_ID
from jetmesh.protocol.ids import Cause
from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane
from tests.deploy.cluster.kube import SMALL, Namespace

ASKED = (*SMALL, "canDeploy.enabled=true")
SUBJECT = "orders.validated.p-strange"


async def plant(nats: NatsSettings) -> None:
    """An order as if order validation had written it, that no released version can read."""
    cause = Cause("order-validation", "decide", "PURCHASES", "999", 1)
    async with await ControlPlane.connect(nats, name="planting") as control:
        headers = {MESSAGE_ID: cause.id(SUBJECT)}
        await control.publish(SUBJECT, b'{"purchase_id": "p-strange"}', headers)


@pytest.mark.long
def test_an_upgrade_is_refused_with_the_sentence_when_stored_events_cannot_be_read(
    small: Namespace,
) -> None:
    small.release("upgrade", *ASKED)
    before = small.get("deployment", "payments")["metadata"]["generation"]
    with small.broker() as nats:
        asyncio.run(plant(nats))
    refused = small.try_release("upgrade", *ASKED, "services.payments.replicas=2")
    assert refused.returncode != 0
    assert "It cannot be deployed" in refused.stderr + refused.stdout
    assert small.get("deployment", "payments")["metadata"]["generation"] == before
