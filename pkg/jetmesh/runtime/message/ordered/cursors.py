"""The stored cursors of an ordered handler: each change is guarded by the one before (ADR-0036)."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final, NamedTuple

import msgspec

from jetmesh import wire
from jetmesh.declare import Handler
from jetmesh.protocol import headers as header
from jetmesh.protocol.cursors import Cursor, begun, cursor_bytes, cursor_of
from jetmesh.protocol.steps import Floor
from jetmesh.protocol.streams import cursor_stream
from jetmesh.protocol.subjects import cursor_subject
from jetmesh.runtime.message.asking import Asking
from jetmesh.runtime.message.belief import Publish
from jetmesh.transport.seam import Looks, Message
from jetmesh.transport.stored import read

_HELD_SECONDS: Final = 2.0


class Kept(NamedTuple):
    """The newest cursor of a key."""

    sequence: int
    """Where it is stored; 0 where none is."""
    cursor: Cursor


class Cursors:
    """Reads and replaces the cursors of one handler."""

    def __init__(self, handler: Handler, publish: Publish, looks: Looks, asking: Asking) -> None:
        self.held: dict[str, str] = {}
        """By what it is about: why a key does not go on, in words."""
        self._stream = cursor_stream(handler.service)
        self._subject = partial(cursor_subject, handler.service, handler.name)
        self._publish = publish
        self._looks = looks
        self._asking = asking

    async def read(self, token: str, floor: Floor) -> Kept:
        """The newest one; `floor` stands for that of a key that has none."""
        subject = self._subject(token)
        ask = partial(self._looks.newest, self._stream, subject)
        while True:
            stored = await self._asking.until_answered(ask, subject)
            if stored is None:
                return Kept(0, begun(floor))
            try:
                cursor = cursor_of(stored.payload)
            except msgspec.DecodeError as error:
                await self.hold(subject, f"{subject} is no cursor: {error}")
            else:
                self.held.pop(subject, None)
                return Kept(stored.sequence, cursor)

    async def replace(self, token: str, kept: Kept, cursor: Cursor) -> Kept | None:
        """Store the next one; None when another one was stored meanwhile."""
        subject = self._subject(token)
        headers = wire.block({header.EXPECTED_SEQUENCE: str(kept.sequence)})
        while True:
            fate = Fate()
            self._publish(subject.encode(), headers, cursor_bytes(cursor), fate)
            told = await fate.future
            if isinstance(told, str):
                await self.hold(subject, f"{subject} cannot be stored: {told}")
                continue
            self.held.pop(subject, None)
            return Kept(told, cursor) if told else None

    async def hold(self, subject: str, why: str) -> None:
        """Say for a while why something cannot be done."""
        self.held[subject] = why
        await asyncio.sleep(_HELD_SECONDS)


class Fate:
    """Waits for the fate of one cursor: its sequence, 0 when refused, or why never (`Waiter`)."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.future: asyncio.Future[int | str] = loop.create_future()

    def _set(self, told: int | str) -> None:
        if not self.future.done():
            self.future.set_result(told)

    def on_stored(self, answer: bytes) -> None:
        self._set(read(answer).seq)

    def on_duplicate(self, _: Message, __: int) -> None:
        self._set(0)  # it has no id, so none is taken

    def on_decided(self) -> None:
        self._set(0)

    def on_impossible(self, reason: str) -> None:
        self._set(reason)
