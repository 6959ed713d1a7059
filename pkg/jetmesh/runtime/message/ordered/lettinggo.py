"""What waits for its turn, where the code keeps no order any more: it lets all of it go (ADR-0036).

`ordered=True` was taken away, or is being rolled out: processes without it share the lane with
those that keep order. Whatever says there that a key waits reaches this, and what waits is put on
the lane, where it is handled as if it had failed and came again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

import structlog

from jetmesh.declare import Handler, Policy
from jetmesh.privacy.mask import name_of, text_of
from jetmesh.protocol.cursors import DROP, Cursor
from jetmesh.protocol.steps import Floor
from jetmesh.runtime.message.asking import Asking
from jetmesh.runtime.message.belief import Publish
from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.message.letters import let_go
from jetmesh.runtime.message.ordered.cursors import Cursors, Fate
from jetmesh.runtime.message.ordered.line import armed_at, place_of
from jetmesh.runtime.message.ordered.lookafter import LookAfter
from jetmesh.runtime.message.verdicts import Verdicts
from jetmesh.transport.seam import Looks
from jetmesh.transport.stored import StoredMessage

_LOOKS: Final = 20
_BEHIND_SECONDS: Final = 0.1
"""Between two looks for a message that a follower may not have yet."""
_FAILED_SECONDS: Final = 2.0

log = structlog.get_logger()


class LettingGo:
    """Takes what is on the lane of one handler and was put there to keep an order."""

    def __init__(
        self,
        handler: Handler,
        policy: Policy,
        verdicts: Verdicts,
        *,
        publish: Publish,
        looks: Looks,
        asking: Asking,
        begin: Callable[[Delivered], None],
    ) -> None:
        self._handler = handler
        self._verdicts = verdicts
        self._publish = publish
        self._looks = looks
        self._asking = asking
        self._begin = begin
        self._cursors = Cursors(handler, publish, looks, asking)
        self._look_after = LookAfter(policy, publish)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def problem(self) -> str:
        """Why something waits on, in words; empty when nothing does."""
        return next(iter(self._cursors.held.values()), "")

    def take(self, delivered: Delivered) -> None:
        """Handle a delivery of a key that kept order, once nothing waits there any more."""
        task = asyncio.create_task(self._take(delivered))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cancel(self) -> None:
        """End what still asks or writes."""
        for task in list(self._tasks):
            task.cancel()

    # how

    async def _take(self, delivered: Delivered) -> None:
        try:
            await self._settle(delivered)
        except Exception as error:
            name, text = name_of(error), text_of(error)
            log.exception("a key is not let go", cause=delivered.cause, error=name, message=text)
            self._verdicts.give_back(delivered, _FAILED_SECONDS)

    async def _settle(self, delivered: Delivered) -> None:
        subject, armed = delivered.origin.subject, armed_at(delivered)
        token = subject.rpartition(".")[2]
        while True:
            kept = await self._cursors.read(token, Floor())
            cursor = kept.cursor
            if armed is not None and not cursor.is_open:
                break
            if armed not in (None, cursor.stand):  # a process that keeps order is at it
                await self._look_after.store(delivered, cursor.stand)
                break
            await self._let_go(subject, cursor)
            after = cursor.let_go(place_of(delivered))
            if after == cursor or await self._cursors.replace(token, kept, after):
                break
        if armed is not None or delivered.line == DROP:
            self._verdicts.acknowledge(delivered)
        elif delivered.held:
            delivered.line = ""
            self._begin(delivered)

    async def _let_go(self, subject: str, cursor: Cursor) -> None:
        """Put all on the lane that waits in its stream; twice is once, by their ids."""
        failed = cursor.away.sequence if cursor.away else 0  # that one comes by itself
        sequence, count = max(cursor.first, cursor.done.sequence + 1, failed + 1), 0
        while sequence <= cursor.last:
            stored = await self._next(subject, sequence)
            if stored is None or stored.sequence > cursor.last:
                break  # it was removed
            await self._put_on_lane(stored)
            sequence, count = stored.sequence + 1, count + 1
        if count:
            log.warning("what waited is let go", handler=self._handler.name, messages=count)

    async def _next(self, subject: str, sequence: int) -> StoredMessage | None:
        ask = partial(self._looks.since, self._handler.input.stream, subject, sequence)
        for _ in range(_LOOKS):
            if stored := await self._asking.until_answered(ask, subject):
                return stored
            await asyncio.sleep(_BEHIND_SECONDS)
        return None

    async def _put_on_lane(self, stored: StoredMessage) -> None:
        place = f"{stored.stream}:{stored.sequence}"
        while True:
            fate = Fate()
            self._publish(*let_go(self._handler, stored), fate)
            told = await fate.future
            if not isinstance(told, str):
                self._cursors.held.pop(place, None)
                return
            await self._cursors.hold(place, f"{place} waits, and cannot go to the lane: {told}")
