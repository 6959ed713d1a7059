"""What tracing knows of a delivery in flight."""

from __future__ import annotations

from collections.abc import Iterator
from time import time_ns

from opentelemetry.context import Context
from opentelemetry.trace import Link

from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.tracing.tracing import context_in


class Journey:
    """One delivery's (`Delivered.trace`)."""

    __slots__ = ("_waits", "attempt", "links", "parent", "races", "waited")

    def __init__(self, parent: Context) -> None:
        self.parent = parent
        """What the message brought, or its first wait when it brought nothing."""
        self.attempt: Context | None = None
        """The newest attempt; what comes of it belongs there."""
        self.links: list[Link] = []
        """To the outcome that another cause stored first."""
        self.races = 0
        """How often it ran for nothing: another step of its key was stored first."""
        self.waited = False
        """Its wait in the queue was told."""
        self._waits: list[tuple[str, int]] = []

    def waits(self, what: str) -> None:
        """It waits for another reason from now on, unless for the same still."""
        if not self._waits or self._waits[-1][0] != what:
            self._waits.append((what, time_ns()))

    def told(self, now: int) -> Iterator[tuple[str, int, int]]:
        """Each wait since the last attempt, from and to, in nanoseconds since 1970."""
        ends = [start for _, start in self._waits[1:]] + [now]
        yield from ((*wait, end) for wait, end in zip(self._waits, ends, strict=False))
        self._waits.clear()

    def waits_since(self, now: int) -> int:
        """Since when it waits for anything but the queue."""
        return self._waits[0][1] if self._waits else now


def journey_of(delivered: Delivered) -> Journey:
    """The delivery's, which begins when it is first asked for."""
    known: Journey | None = getattr(delivered, "trace", None)
    if known is None:
        known = delivered.trace = Journey(context_in(delivered.headers))
    return known
