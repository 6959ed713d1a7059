"""A dashboard that only reads turns hostile: it takes over no durable, and steals no delivery.

What reads needs a consumer. Whoever may make one may have it deliver onto any subject of the
streams' account, so nobody but the operator makes any: read models use those that are there.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from jetmesh.declare import Topology
from jetmesh.operate.identities import Isolation
from jetmesh.protocol.streams import lane_stream
from jetmesh.testing import eventually
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.provision import apply, plan
from tests.attacks.intruder import Intruder, intruding
from tests.isolated import Isolated, isolated

WHO = "customer-dashboard"
VICTIM = "PURCHASES.order-validation-decide"
SLOT = "PURCHASES.customer-dashboard-Orders-1"
STREAM, DURABLE = VICTIM.split(".")
API = "$JS.API.CONSUMER"


@pytest.fixture
def guarded(tmp_path: Path, topology: Topology, isolation: Isolation) -> Iterator[Isolated]:
    with isolated(topology, isolation, tmp_path) as started:
        yield started


@pytest_asyncio.fixture
async def operator(guarded: Isolated, topology: Topology) -> AsyncIterator[ControlPlane]:
    async with await guarded.control() as control:
        await apply(control, await plan(control, topology))
        for number in range(3):
            await control.publish(f"purchases.created.p-{number}", b'{"seq":3}')
        yield control


@pytest_asyncio.fixture
async def intruder(guarded: Isolated, operator: ControlPlane) -> AsyncIterator[Intruder]:
    async with intruding(guarded.settings(WHO)) as found:
        yield found


async def victim(operator: ControlPlane) -> tuple[Any, ...]:
    info = await operator.api(f"CONSUMER.INFO.{VICTIM}")
    return info["config"], info["delivered"], info["num_pending"], info["num_waiting"]


def body(**config: Any) -> bytes:
    return json.dumps({"stream_name": STREAM, "config": config}).encode()


async def asks(intruder: Intruder, subject: str, payload: bytes = b"") -> dict[str, Any]:
    answer = await intruder.client.request(subject, payload, timeout=5)
    found: dict[str, Any] = json.loads(answer.data)
    return found


async def test_it_makes_changes_and_removes_no_consumer(
    intruder: Intruder, operator: ControlPlane
) -> None:
    before = await victim(operator)
    taken_over = body(durable_name=DURABLE, ack_policy="explicit", deliver_subject="_INBOX_x.y")
    tried = [f"{API}.CREATE.{STREAM}", f"{API}.DURABLE.CREATE.{VICTIM}"]
    tried += [f"{API}.CREATE.{each}" for each in (VICTIM, f"{VICTIM}.purchases.created", SLOT)]
    tried += [f"{API}.CREATE.{STREAM}.another", f"{API}.DELETE.{SLOT}"]
    tried += [f"{API}.{verb}.{VICTIM}" for verb in ("DELETE", "PAUSE", "RESET", "MSG.NEXT", "INFO")]
    for subject in tried:
        await intruder.publishes(subject, taken_over, reply=intruder.client.new_inbox())
    assert await intruder.refused(tried) == set(tried)
    assert await victim(operator) == before


async def test_it_gets_nothing_that_is_for_others(
    intruder: Intruder, operator: ControlPlane
) -> None:
    """It pulls from its own slot, and however often it does, nobody else has less."""
    before = await victim(operator)
    await asks(intruder, f"{API}.RESET.{SLOT}", b'{"seq":1}')
    inbox = intruder.client.new_inbox()
    heard = await intruder.client.subscribe(inbox)
    await intruder.publishes(f"{API}.MSG.NEXT.{SLOT}", b'{"batch":3}', reply=inbox)
    for _ in range(3):
        assert (await heard.next_msg(timeout=5)).data == b'{"seq":3}'
    assert await victim(operator) == before


async def test_a_slot_cannot_be_turned_into_something_that_delivers_elsewhere(
    intruder: Intruder, operator: ControlPlane
) -> None:
    """What a reset takes besides a sequence changes nothing."""
    before = (await operator.api(f"CONSUMER.INFO.{SLOT}"))["config"]
    evil = {"seq": 1, "config": {"deliver_subject": "payments.captured.p-1"}}
    await asks(intruder, f"{API}.RESET.{SLOT}", json.dumps(evil).encode())
    assert (await operator.api(f"CONSUMER.INFO.{SLOT}"))["config"] == before


async def test_why_nobody_may_make_a_consumer(operator: ControlPlane) -> None:
    """It delivers a stored event, which is a request to reset somebody's durable."""
    before = await victim(operator)
    wanted = {
        "name": "evil",
        "ack_policy": "none",
        "deliver_policy": "last",
        "deliver_subject": f"{API}.RESET.{VICTIM}",
    }
    await operator.api(f"CONSUMER.CREATE.{STREAM}.evil", {"stream_name": STREAM, "config": wanted})

    async def is_reset() -> bool:
        return bool((await victim(operator))[1] != before[1])

    await eventually(is_reset, what="messages that are skipped")


def test_no_identity_but_the_operator_may_make_or_change_a_consumer(
    guarded: Isolated, topology: Topology
) -> None:
    """And each uses only its own ones: slots by name, durables by both, on its lane stream all."""
    slots = {(slot.reader.partition(".")[0], slot.name) for slot in topology.slots}
    durables = {(each.service, each.input.stream, each.durable) for each in topology.handlers}
    for identity in guarded.config.identities:
        for subject in identity.permissions.publish if identity.permissions else ():
            assert not subject.startswith((f"{API}.CREATE", f"{API}.DURABLE", f"{API}.DELETE"))
            if subject.startswith((f"{API}.MSG.NEXT.", f"{API}.RESET.")):
                *_, stream, name = subject.split(".")
                by_name = stream == "*" and (identity.name, name) in slots
                by_stream = name == "*" and stream == lane_stream(identity.name)
                by_both = (identity.name, stream, name) in durables
                assert by_name or by_stream or by_both, subject
