"""Stored events read again on demand, with what read models of the service can decode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from jetmesh.declare import EventSpec, History, ReadModel, Recalled, Record, spec_of
from jetmesh.declare.key import escape_key
from jetmesh.errors import BrokerError
from jetmesh.transport.reader import UNREADABLE, reader_of
from jetmesh.transport.seam import Control
from jetmesh.transport.stored import StoredMessage

_UNREADABLE: Final = (*UNREADABLE, ValueError)


class StoredHistory(History):
    """Of the events that `models` fold; nothing else is decoded."""

    def __init__(self, models: Sequence[ReadModel]) -> None:
        specs = {spec for model in models for spec in model.events}
        self._readers = {spec.subject: reader_of(spec) for spec in specs}
        self._specs = specs
        self._control: Control | None = None

    def on(self, control: Control) -> StoredHistory:
        """Ask over this connection."""
        self._control = control
        return self

    async def at(self, stream: str, sequence: int) -> Recalled | None:
        return self._recalled(await self._connected.message(stream, sequence))

    async def first(self, event: type[Struct], key: str) -> Recalled | None:
        spec = self._known(event)
        subject = f"{spec.subject}.{escape_key(key)}"
        return self._recalled(await self._connected.first(spec.stream, subject))

    @property
    def _connected(self) -> Control:
        if self._control is None:
            raise BrokerError("There is no connection to the broker yet.")
        return self._control

    def _known(self, event: type[Struct]) -> EventSpec:
        spec = spec_of(event)
        if spec is None or spec not in self._specs:
            raise TypeError(f"{event.__name__} is no event of a read model of this service")
        return spec

    def _recalled(self, message: StoredMessage | None) -> Recalled | None:
        if message is None:
            return None
        subject = message.subject
        reader = self._readers.get(subject) or self._readers.get(subject.rpartition(".")[0])
        if reader is None:
            return None
        try:
            event = reader.read_stored(message.payload, message.headers)
        except _UNREADABLE:
            return None
        return event, Record(
            stream=message.stream,
            sequence=message.sequence,
            subject=subject,
            stored_at=message.stored_at,
            message_id=message.message_id,
        )
