"""Whoever publishes from outside in a story."""

from __future__ import annotations

from asyncio import Future
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec import Struct

from jetmesh.declare import Stored
from jetmesh.errors import UsageError
from jetmesh.protocol.ids import Cause
from jetmesh.runtime.publishing import Publisher
from jetmesh.testing.given import subject_of
from jetmesh.testing.simulation.subjects import matches
from jetmesh.testing.story.world import World

_WINDOW: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Given:
    """An event on its way from outside."""

    event: Struct
    message_id: str


class Outside:
    """Publishes with the real `Publisher`, and has messages delivered once more."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._script = world.script
        self._count = 0
        types = [spec.type for spec in self._script.topology.events]
        self._told: list[Future[Stored]] = []
        world.is_awaited = lambda: not all(told.done() for told in self._told)
        self._publisher = Publisher(*types, name="story", window=_WINDOW).on(world.outside)

    def message(self, event: Struct, message_id: str = "") -> Given:
        """An event with its message id: that of an outcome is what its owner could have given it.

        Raises:
            UsageError: nobody in this story would notice it.
        """
        spec = self._script.require_reader(type(event))
        self._count += 1
        deciding = (h for h in self._script.topology.handlers if spec in h.outputs)
        for handler in deciding:
            if spec.decision and not message_id:
                now = self._world.server.clock.now
                cause = Cause(handler.service, handler.name, handler.input.stream, "0", now)
                message_id = cause.id(subject_of(event))
        return Given(event, message_id or f"story:{self._count}")

    def send(self, given: Given) -> Future[Stored]:
        """Publish it; what becomes of that is known once things have happened."""
        with self._world.outside_loop.current():
            told = self._publisher.publish_nowait(given.event, message_id=given.message_id)
        told.add_done_callback(_heard)
        self._told = [*(each for each in self._told if not each.done()), told]
        return told

    def redeliver(self, event: Struct) -> None:
        """Have everybody get the newest such event again.

        Raises:
            UsageError: it is not stored.
        """
        spec = self._script.require_reader(type(event))
        stream, payload = self._world.server.stream(spec.stream), msgspec.json.encode(event)
        found = [k for k in stream.log.matching(subject_of(event)) if k.payload == payload]
        if not found:
            raise UsageError(
                f"No such {type(event).__name__} is stored.", remedy="Publish it with given(…)."
            )
        for durable in stream.durables.values():
            if durable.acks and any(matches(f, found[-1].subject) for f in durable.filters):
                durable.forget_verdict(found[-1].sequence)


def _heard(told: Future[Any]) -> None:
    """Nobody has to look at it."""
    if not told.cancelled():
        told.exception()
