"""The pull of one process from one durable (`seam.Inflow`), in two channels.

One holds what the server sends next, the other what is on its way to the process: in between its
`ack_wait` runs, and it can be lost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from jetmesh.protocol.acks import is_ack
from jetmesh.testing.simulation.agenda import Line
from jetmesh.testing.simulation.clock import SECOND
from jetmesh.testing.simulation.durable import Durable
from jetmesh.testing.simulation.link import Link
from jetmesh.transport.seam import OnDelivery

_REST: Final = 30 * SECOND


class SimulatedInflow:
    """Has at most `limit` deliveries on their way or without a verdict."""

    def __init__(
        self,
        link: Link,
        stream: str,
        durable: str,
        *,
        limit: int,
        first: int,
        on_delivery: OnDelivery,
    ) -> None:
        self.durable = stream, durable
        self.name = f"{link.name}: {stream}/{durable} delivers"
        self.muted = ""
        self.pulling = False
        self.strays = 0
        self.on_muted: Callable[[], None] = lambda: None
        self.on_gone: Callable[[str], None] | None = None
        self._link = link
        self._server = link.server
        self._widest = self._limit = limit
        self._grown = min(limit, first or limit)
        self._unsettled = 0
        self._on_delivery = on_delivery
        self._arrived_at = self._server.clock.now
        self._server.pulls.setdefault(self.durable, []).append(self)
        self._server.agenda.open(self, wakes=True)
        self.arriving = Line(f"{link.name}: {stream}/{durable} arrives", self._server.agenda)

    # seam.Inflow

    @property
    def problem(self) -> str:
        """Why nothing can arrive, in words; empty when all is well."""
        if self.muted or self._durable is not None:
            return self.muted
        stream, durable = self.durable
        return f"durable {durable!r} on {stream}: it is gone"

    @property
    def rests(self) -> bool:
        """Whether nothing arrived for half a minute, although nothing speaks against it."""
        return not self.problem and self._arrived_at + _REST < self._server.clock.now

    def start(self) -> None:
        """Begin to pull."""
        self.pulling = True
        self.wake()

    def limit_to(self, limit: int) -> None:
        """Have at most `limit` deliveries on their way or without a verdict."""
        self._limit = min(limit, self._widest)
        self.wake()

    def check(self, reply: bytes) -> None:
        """Raises ValueError: no verdict on a delivery of this durable is sent there."""
        if not is_ack(reply, *self.durable):
            raise ValueError(reply)

    def settled(self) -> None:
        """One delivery has its verdict: there is room for another."""
        self._unsettled -= 1
        self._grown = min(2 * self._grown, self._widest)
        self.wake()

    def stray(self, reply: bytes) -> None:
        """What arrived was no delivery, and has no verdict."""
        del reply
        self._unsettled -= 1
        self.strays += 1
        self.wake()

    def stop(self) -> None:
        """Pull no more; what the server sent already still arrives."""
        self.pulling = False

    # agenda.Channel: the server's side

    def wake(self) -> None:
        """There may be something to deliver, or room for it."""
        self._server.agenda.wake(self)

    @property
    def ready(self) -> bool:
        """Whether the server has something for us, and we asked for it."""
        return self.asks and (durable := self._durable) is not None and durable.ready

    def step(self) -> None:
        """The server sends the next delivery; from now on `ack_wait` runs."""
        durable = self._durable
        assert durable is not None  # noqa: S101 - it is ready
        kept, times, number, left = durable.deliver()
        stream, name = self.durable
        position = f"{times}.{kept.sequence}.{number}.{kept.stored_ns}.{left}"
        reply = f"$JS.ACK.{stream}.{name}.{position}".encode()
        message = kept.subject.encode(), reply, kept.headers, kept.payload
        self.arriving.send(lambda: self._arrive(*message))

    def _arrive(self, *message: bytes) -> None:
        self._unsettled += 1
        self._arrived_at = self._server.clock.now
        self._on_delivery(*message)

    @property
    def asks(self) -> bool:
        """Whether it is pulling, and has room for more."""
        if not self.pulling or self.muted or not self._link.is_up:
            return False
        return self._unsettled + len(self.arriving.waiting) < min(self._limit, self._grown)

    @property
    def _durable(self) -> Durable | None:
        return self._server.durable(*self.durable)

    # faults

    def gone(self, reason: str) -> None:
        """Its durable was deleted, or the connection is new."""
        if self.on_gone is not None and self.pulling:
            self.on_gone(reason)

    def cut(self) -> None:
        """Lose what is on its way."""
        self.arriving.waiting.clear()

    def mend(self) -> None:
        """The connection is new."""
        self.wake()
        self.gone("the connection is new: what was on its way may be lost")

    def close(self) -> None:
        """Receive nothing any more."""
        self.stop()
        self.arriving.close()
        self._server.pulls[self.durable].remove(self)
        self._server.agenda.close(self)

    def lose_delivery(self) -> bool:
        """Lose the first delivery on its way here: it comes again once `ack_wait` is over."""
        is_lost = self.arriving.lose()
        self.wake()
        return is_lost

    def mute(self, reason: str) -> None:
        """Pull nothing while verdicts are refused; an empty `reason`: they are taken again."""
        self.muted = reason
        self.wake()
        self.on_muted()
