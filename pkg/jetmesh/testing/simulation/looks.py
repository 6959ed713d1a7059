"""Questions what a stream holds (`belief.Looks`): asked at once, answered in their turn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from jetmesh.errors import BrokerError
from jetmesh.testing.simulation.link import Link
from jetmesh.testing.simulation.log import Kept, Log
from jetmesh.transport.stored import StoredMessage

_Find: TypeAlias = Callable[[Log, int], Kept | None]
"""Looks into a log, up to the last sequence that whoever answers knows."""


class SimulatedLooks:
    """What `transport.lookups` is on a real connection."""

    def __init__(self, link: Link) -> None:
        self.asked = 0
        self.behind = 0
        """So many of a stream's newest messages a follower lacks that answers."""
        self._link = link
        self._open: list[asyncio.Future[StoredMessage | None]] = []

    def last(self, stream: str, subject: str) -> Awaitable[StoredMessage | None]:
        """The newest message whose subject matches."""
        return self._ask(stream, lambda log, known: log.last_on(subject, until=known))

    def since(self, stream: str, subject: str, sequence: int) -> Awaitable[StoredMessage | None]:
        """The first message on `subject` from `sequence` on."""
        return self._ask(stream, lambda log, known: log.next_on(subject, sequence, until=known))

    def newest(self, stream: str, subject: str) -> Awaitable[StoredMessage | None]:
        """The newest message on `subject`, as the leader knows it."""
        return self._ask(stream, lambda log, _: log.last_on(subject, until=log.last), leader=True)

    def fail_all(self, reason: str) -> None:
        """The connection is lost: whoever asked has to ask again."""
        for future in self._open:
            if not future.done():
                future.set_exception(BrokerError(f"a stream cannot be asked: {reason}."))
        self._open.clear()

    def _ask(
        self, stream: str, find: _Find, *, leader: bool = False
    ) -> asyncio.Future[StoredMessage | None]:
        future: asyncio.Future[StoredMessage | None] = asyncio.get_running_loop().create_future()
        if not self._link.is_up:
            future.set_exception(BrokerError(f"{stream}: not connected."))
            return future
        self.asked += 1
        self._open.append(future)
        self._link.sent.send(lambda: self._read(stream, find, future, leader=leader))
        return future

    def _read(
        self,
        stream: str,
        find: _Find,
        future: asyncio.Future[StoredMessage | None],
        *,
        leader: bool,
    ) -> None:
        """The server reads the question; what it holds now is the answer, whenever that arrives."""
        held = self._link.server.streams.get(stream)
        if held and not leader and not held.config.get("allow_direct"):
            held = None  # then nobody listens where look-ups ask
        found = find(held.log, held.log.last - self.behind) if held else None
        answer = found.of(stream) if found else None

        def arrive() -> None:
            self._open.remove(future)
            if held is None:
                future.set_exception(BrokerError(f"{stream} cannot be asked: nobody answers."))
            elif not future.done():
                future.set_result(answer)

        self._link.found.send(arrive)
