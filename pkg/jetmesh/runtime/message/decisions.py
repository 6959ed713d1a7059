"""One outcome per key: what a handler does when its key has one already."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from time import monotonic
from typing import Any, Final

import structlog

from jetmesh.declare import Handler, escape_key
from jetmesh.errors import BrokerError
from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.message.letters import refusal
from jetmesh.runtime.message.outputs import Message, Outputs
from jetmesh.runtime.message.verdicts import Verdicts
from jetmesh.transport.stored import StoredMessage

LookUp = Callable[[str, str], Awaitable[StoredMessage | None]]
"""(stream, subject filter) to the newest message stored there, read from the leader."""
React = Callable[[Delivered, Any, StoredMessage], Awaitable[None]]
"""(delivery, what it wanted to decide if that is known, what is stored): ends with its verdict."""

_UNDECIDED_SECONDS: Final = 0.5
_PATIENCE_SECONDS: Final = 2.0
"""So long a question may have no answer, as while a leader is chosen, before that is a problem."""


class Decisions:
    """Looks up what is decided, for one handler."""

    def __init__(
        self, handler: Handler, outputs: Outputs, verdicts: Verdicts, look_up: LookUp
    ) -> None:
        self._handler = handler
        self._outputs = outputs
        self._verdicts = verdicts
        self._look_up = look_up
        self.react: React | None = None
        """What the handler does when it loses."""
        self.losing: Callable[[Delivered, StoredMessage], AbstractContextManager[None]]
        """Around what ends a delivery whose key another cause decided."""
        self.losing = lambda _, __: nullcontext()
        self._unanswered: dict[bytes, tuple[float, str]] = {}
        """Deliveries that wait for an answer: since when, and what they were told last."""
        self._log = structlog.get_logger().bind(handler=handler.name)

    def of(self, outputs: Outputs) -> Decisions:
        """The same for other outputs of this handler; they have no reaction of their own."""
        made = Decisions(self._handler, outputs, self._verdicts, self._look_up)
        made._unanswered = self._unanswered
        made.losing = lambda *about: self.losing(*about)  # noqa: PLW0108 - it may be set later
        return made

    @property
    def problem(self) -> str:
        """Why deliveries wait, in words: it is not known whether they are decided."""
        before = monotonic() - _PATIENCE_SECONDS
        lasting = [said for since, said in self._unanswered.values() if since < before]
        if not lasting:
            return ""
        name = f"{self._handler.service}.{self._handler.name}"
        return f"{name} cannot look up outcomes, {len(lasting)} waiting: {lasting[0]}"

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
            ours = stored is not None and self._is_ours(delivered, stored)
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
            await asyncio.sleep(_UNDECIDED_SECONDS)
            self._verdicts.publish(*message, delivered)
        elif stored.subject.encode() == message[0] and self._is_ours(delivered, stored):
            self._verdicts.stats.repeated += 1
            delivered.on_stored()
        else:
            mine, refused = delivered.published, message[0].decode()
            await self._settle(delivered, stored, refused, race=output.race, mine=mine)

    async def _asked(self, stream: str, subject: str, delivered: Delivered) -> StoredMessage | None:
        """No answer is no answer: asked again until there is one."""
        since, said = monotonic(), ""
        try:
            while True:
                try:
                    return await self._look_up(stream, subject)
                except BrokerError as error:
                    if str(error) != said:
                        said = str(error)
                        self._log.info("undecided, asking again", cause=delivered.cause, error=said)
                    self._unanswered[delivered.name] = (since, said)
                await asyncio.sleep(_UNDECIDED_SECONDS)
        finally:
            self._unanswered.pop(delivered.name, None)

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
            await self._verdicts.marked(self._suspicious(delivered, stored, refused))
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

    def _is_ours(self, delivered: Delivered, stored: StoredMessage) -> bool:
        return delivered.identity.made(stored.message_id)
