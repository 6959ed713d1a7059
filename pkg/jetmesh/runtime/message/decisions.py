"""One outcome per key: what a handler does when its key has one already."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import structlog

from jetmesh.declare import Handler, escape_key
from jetmesh.runtime.message import asking
from jetmesh.runtime.message.asking import Asking
from jetmesh.runtime.message.belief import Evidence, Forged
from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.message.letters import refusal
from jetmesh.runtime.message.outputs import Outputs
from jetmesh.runtime.message.verdicts import Verdicts
from jetmesh.transport.seam import Message
from jetmesh.transport.stored import StoredMessage

React = Callable[[Delivered, Any, StoredMessage], Awaitable[None]]
"""(delivery, what it wanted to decide if that is known, what is stored): ends with its verdict."""


class Decisions:
    """Looks up what is decided, for one handler."""

    def __init__(
        self,
        handler: Handler,
        outputs: Outputs,
        verdicts: Verdicts,
        evidence: Evidence,
        asking: Asking,
    ) -> None:
        self._handler = handler
        self._outputs = outputs
        self._verdicts = verdicts
        self._evidence = evidence
        self._look_up = evidence.looks.last
        self._asking = asking
        self.react: React | None = None
        """What the handler does when it loses."""
        self.losing: Callable[[Delivered, StoredMessage], AbstractContextManager[None]]
        """Around what ends a delivery whose key another cause decided."""
        self.losing = lambda _, __: nullcontext()
        self._log = structlog.get_logger().bind(handler=handler.name)

    def of(self, outputs: Outputs) -> Decisions:
        """The same for other outputs of this handler; they have no reaction of their own."""
        made = Decisions(self._handler, outputs, self._verdicts, self._evidence, self._asking)
        made.losing = lambda *about: self.losing(*about)  # noqa: PLW0108 - it may be set later
        return made

    async def is_settled(self, delivered: Delivered) -> bool:
        """Settle a delivery whose key has its outcome, before any effect.

        Asked on every delivery: on one server even a confirmed ack can be lost and come back as
        a first delivery, and an effect should not happen twice for it. It waits for as long as
        nobody answers: to act without knowing could do an effect twice.
        """
        if self._handler.input.key is None:
            return False
        for deciding in self._outputs.deciding:
            wanted = deciding.decision_filter(delivered.key_token)
            stored = await self._asked(deciding.stream, wanted, delivered)
            if stored is None and delivered.deliveries > delivered.returned + 1:
                # lost with its process, perhaps after its outcome; the follower may be behind
                await asyncio.sleep(asking.BEHIND_SECONDS)
                stored = await self._asked(deciding.stream, wanted, delivered)
            ours = stored is not None and self._is_ours(delivered, stored)
            if stored is not None and (forged := self._forged(stored)):
                self._verdicts.keep(delivered, forged)
                return True
            if stored is not None and not (ours and self._outputs.has_more):
                await self._settle(delivered, stored, wanted, race=deciding.race)
                return True
        return False

    async def settle_refused(self, delivered: Delivered) -> None:
        """The server refused a second outcome: look whose the first one is."""
        output = self._outputs.by_type[type(delivered.published)]
        message = output.message(delivered.published, delivered.token)
        token = escape_key(getattr(delivered.published, output.key or ""))
        stored = await self._asked(output.stream, output.decision_filter(token), delivered)
        if stored is None:
            await asyncio.sleep(asking.UNDECIDED_SECONDS)
            output.publish(*message, delivered)
        elif forged := self._forged(stored):
            self._verdicts.keep(delivered, forged)
        elif stored.subject.encode() == message[0] and self._is_ours(delivered, stored):
            self._verdicts.stats.repeated += 1
            delivered.on_stored()
        else:
            mine, refused = delivered.published, message[0].decode()
            await self._settle(delivered, stored, refused, race=output.race, mine=mine)

    async def _asked(self, stream: str, subject: str, delivered: Delivered) -> StoredMessage | None:
        look = partial(self._look_up, stream, subject)
        return await self._asking.until_answered(look, delivered.cause)

    async def _settle(
        self,
        delivered: Delivered,
        stored: StoredMessage,
        refused: str,
        *,
        race: bool,
        mine: Any = None,
    ) -> None:
        """Ack, the key has its outcome; if another cause decided it, let the handler react first.

        Unless that was to be expected, say so where people look.
        """
        delivered.rest = None
        if self._is_ours(delivered, stored):
            self._verdicts.stats.repeated += 1
            self._verdicts.acknowledge(delivered)
            return
        with self.losing(delivered, stored):
            await self._lose(delivered, stored, refused, race=race, mine=mine)

    async def _lose(
        self, delivered: Delivered, stored: StoredMessage, refused: str, *, race: bool, mine: Any
    ) -> None:
        if race:
            self._verdicts.stats.lost += 1
        elif self.react is None:
            self._verdicts.ignored(delivered, self._suspicious(delivered, stored, refused))
            return
        else:
            await self._verdicts.marked(delivered, self._suspicious(delivered, stored, refused))
        if self.react is None:
            self._verdicts.acknowledge(delivered)
        else:
            await self.react(delivered, mine, stored)

    def _suspicious(self, delivered: Delivered, stored: StoredMessage, refused: str) -> Message:
        """Say that nobody else was meant to decide; the mark to store of that."""
        self._verdicts.stats.refused += 1
        self._log.warning(
            "decided by another cause",
            key=delivered.key,
            cause=delivered.cause,
            stored=f"{stored.stream}:{stored.sequence}",
            by=stored.message_id or "an unguarded publisher",
        )
        return refusal(delivered, refused, stored)

    def _forged(self, stored: StoredMessage) -> Forged | None:
        why = self._evidence.outcomes.doubt(stored)
        return Forged(stored, why) if why else None

    def _is_ours(self, delivered: Delivered, stored: StoredMessage) -> bool:
        return delivered.identity.made(stored.message_id)
