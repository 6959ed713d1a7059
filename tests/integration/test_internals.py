"""The way of a message is as docs/internals.md draws it, call by call."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import FrameType
from typing import Any, Self

from msgspec import Struct

import jetmesh
from jetmesh import Service, event
from jetmesh.operate.up.broker import Broker
from jetmesh.testing import eventually, mesh

ROOT = Path(__file__).parents[2]
SOURCES = f"{Path(jetmesh.__file__).parent}/"
MOST_CALLS = 20


class Calls:
    """The mesh's own calls while the data plane reads a chunk of bytes, chunk by chunk."""

    def __init__(self) -> None:
        self.chunks: list[list[str]] = []
        self._depth = 0

    def __enter__(self) -> Self:
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def way(self) -> list[str]:
        """The chunk with the delivery, then the one with the PubAck."""
        ends = "Consumer._handle", "Publishes.on_answer"
        return [
            call
            for end in ends
            for call in next(c for c in self.chunks if any(each.endswith(end) for each in c))
        ]

    def _note(self, frame: FrameType, kind: str, _: Any) -> None:
        code = frame.f_code
        if kind not in {"call", "return"} or not code.co_filename.startswith(SOURCES):
            return
        name = f"{code.co_filename.removeprefix(SOURCES)} {code.co_qualname}"
        if kind == "return":
            self._depth -= self._depth > 0
            return
        if name.endswith(" Link.buffer_updated"):
            self.chunks.append([])
        elif not self._depth:
            return
        self._depth += 1
        self.chunks[-1].append(name)


async def test_a_message_goes_the_way_that_is_drawn(broker: Broker, unique: str) -> None:
    @event(f"{unique}-in.placed", key="order_id")
    class Placed(Struct, frozen=True):
        order_id: str

    @event(f"{unique}.accepted", key="order_id", decision=f"{unique}.*")
    class Accepted(Struct, frozen=True):
        order_id: str

    service = Service(f"{unique}-desk")

    @service.on(Placed)
    def decide(placed: Placed) -> Accepted:
        return Accepted(placed.order_id)

    async with mesh(service, url=broker.url) as m:
        (consumer,) = m.running[service.name].consumers
        await m.publish(Placed("warm"))
        await eventually(lambda: consumer.stats.acked == 1, what="the first ack")
        for number in range(2, 7):  # a heartbeat of the server may share a chunk with a message
            with Calls() as calls:
                await m.publish(Placed(f"p-{number}"))
                await m.expect(Accepted, f"p-{number}")
                await eventually(lambda: not consumer.in_flight, what="the ack")
            if (way := calls.way()) == drawn():
                break
    assert way == drawn()


def drawn() -> list[str]:
    """The calls that the document lists, in their order."""
    text = (ROOT / "docs" / "internals.md").read_text()
    return re.findall(r"^\d+\. `(\S+ [\w.]+)`", text, flags=re.MULTILINE)


def test_few_calls_are_made_for_each_message() -> None:
    """Each is a function that somebody wrote; what a chunk shares counts once."""
    text = (ROOT / "docs" / "internals.md").read_text()
    each_message = re.findall(r"^\d+\. `\S+ [\w.]+`(?! \(chunk\))", text, flags=re.MULTILINE)
    assert 0 < len(each_message) < MOST_CALLS
