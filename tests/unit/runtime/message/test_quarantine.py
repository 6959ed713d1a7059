"""Deliveries in quarantine run alone, one after another, whatever becomes of their marks."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from jetmesh.errors import BrokerError
from jetmesh.protocol.lanes import Origin
from jetmesh.runtime.message import quarantine
from jetmesh.runtime.message.delivered import Delivered, Runner
from jetmesh.runtime.message.quarantine import Quarantine
from jetmesh.testing import eventually
from jetmesh.transport.stored import PubAck, StoredMessage
from tests.unit.runtime.message.wire import STORED_NS


class Forgetful:
    """A broker that stores marks, and cannot be asked to remove them."""

    def __init__(self) -> None:
        self.marks: list[str] = []

    async def last(self, _stream: str, _subject: str) -> StoredMessage | None:
        return None

    async def publish(
        self, subject: str, _payload: bytes, _headers: dict[str, str] | None = None
    ) -> PubAck:
        self.marks.append(subject)
        return PubAck("LANES_desk", len(self.marks), duplicate=False)

    async def forget(self, _stream: str, _subject: str) -> None:
        raise BrokerError("no answer")


async def test_a_mark_that_stays_does_not_end_the_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "_REMOVE_SECONDS", 0.05)
    monkeypatch.setattr(quarantine, "_ASK_AGAIN_SECONDS", 0.01)
    broker, alone, running = Forgetful(), [], 0

    async def run(delivered: Any) -> None:
        nonlocal running
        running += 1
        await asyncio.sleep(0)
        assert running == 1
        running -= 1
        alone.append(delivered.cause)

    def begin(_: Any) -> None:
        pytest.fail("it was begun beside others")

    handler = SimpleNamespace(service="desk", name="look")
    runner = cast(Runner, SimpleNamespace(handler=handler, run=run, begin=begin))
    round_ = Quarantine(lambda: broker, list)
    for number in range(3):
        made = SimpleNamespace(
            cause=str(number),
            origin=Origin("in.placed", "IN", str(number), STORED_NS),
            held=True,
        )
        round_.add(cast(Delivered, made), runner)
    await eventually(lambda: not round_.active)
    assert alone == ["0", "1", "2"]
    assert len(set(broker.marks)) == len(alone)
