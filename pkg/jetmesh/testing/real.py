"""A real broker and the services of one test on it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import time_ns
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from jetmesh.declare import Handler, Service, declared_spec, escape_key
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.headers import MESSAGE_ID
from jetmesh.protocol.ids import Cause
from jetmesh.protocol.streams import lane_stream
from jetmesh.protocol.subjects import RETRY, lane_subject
from jetmesh.protocol.versions import said
from jetmesh.runtime.running import Running
from jetmesh.settings import Loaded, load_settings
from jetmesh.testing.given import subject_of
from jetmesh.testing.waiting import eventually
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.reader import reader_of
from jetmesh.transport.stored import PubAck, StoredMessage

_E = TypeVar("_E", bound=Struct)


class Mesh:
    """A broker with services on it, for one test."""

    def __init__(self, url: str, control: ControlPlane, running: dict[str, Running]) -> None:
        self.url = url
        self.control = control
        self.running = running
        """By the service's name."""

    async def publish(
        self,
        event: Struct | str,
        payload: bytes | str = b"",
        headers: dict[str, str] | None = None,
    ) -> PubAck:
        """Store an event on its keyed subject, or raw bytes on a subject given as text.

        An outcome is stored as its service would for another message, unless `headers` say more:
        any other would not be believed (ADR-0017).
        """
        if isinstance(event, str):
            data = payload.encode() if isinstance(payload, str) else payload
            return await self.control.publish(event, data, headers)
        subject = subject_of(event)
        version = said(declared_spec(type(event)).version)
        by_owner = {MESSAGE_ID: made} if (made := self._id_of_outcome(event, subject)) else {}
        headers = {**version, **(headers or by_owner)}
        return await self.control.publish(subject, msgspec.json.encode(event), headers)

    def _id_of_outcome(self, event: Struct, subject: str) -> str:
        """An id that the service here that decides with such events could have given it."""
        spec = declared_spec(type(event))
        deciding = (c.handler for each in self.running.values() for c in each.consumers)
        for handler in deciding:
            if spec.decision and spec in handler.outputs:
                stream = handler.input.stream
                return Cause(handler.service, handler.name, stream, "0", time_ns()).id(subject)
        return ""

    async def expect(self, event_type: type[_E], key: str = "", *, within: float = 10.0) -> _E:
        """The newest event of this type and key, as soon as it is stored.

        Raises:
            AssertionError: none is stored after `within` seconds.
        """
        spec = declared_spec(event_type)
        subject = f"{spec.subject}.{escape_key(key)}" if spec.key else spec.subject
        found = await eventually(
            lambda: self.control.last(spec.stream, subject), within=within, what=subject
        )
        event: _E = reader_of(spec).read_stored(found.payload, found.headers)
        return event

    async def stored(self, stream: str, subject: str = ">") -> list[StoredMessage]:
        """Everything stored in `stream` now whose subject matches."""
        return [message async for message in self.control.history(stream, [subject])]

    async def settled(self, *, within: float = 10.0) -> None:
        """Wait until every durable has handled all there is, and what came of it."""
        seen: list[tuple[Any, ...]] = []

        async def nothing_moves() -> bool:
            """An output may arrive at a durable just after the look at it: look twice."""
            seen.append(await self._positions())
            return len(seen) > 1 and seen[-1] == seen[-2] and None not in seen[-1]

        await eventually(nothing_moves, within=within, what="an empty mesh")

    async def _positions(self) -> tuple[int | None, ...]:
        """How far each durable has come; None while it has something to do."""
        found: list[int | None] = []
        for running in self.running.values():
            for consumer in running.consumers:
                handler = consumer.handler
                for stream in (handler.input.stream, lane_stream(handler.service)):
                    info = await self.control.api(f"CONSUMER.INFO.{stream}.{handler.durable}")
                    busy = info["num_pending"] or info["num_ack_pending"]
                    found.append(None if busy else info["delivered"]["consumer_seq"])
                if await self._waits_for_retry(handler):
                    found.append(None)
        return tuple(found)

    async def _waits_for_retry(self, handler: Handler) -> bool:
        retries = lane_subject(handler.service, handler.name, f"*.*.{RETRY}")
        stream = lane_stream(handler.service)
        info = await self.control.api(f"STREAM.INFO.{stream}", {"subjects_filter": retries})
        return bool(info["state"].get("subjects"))


@asynccontextmanager
async def mesh(
    *services: Service,
    settings: Mapping[str, str] | None = None,
    url: str = "",
    within: float = 10.0,
) -> AsyncIterator[Mesh]:
    """A real nats-server of its own (or the one at `url`) with `services`, ready to be used.

    `settings` are environment variables as in production, such as
    `JETMESH__SERVICES__PAYMENTS__SETTINGS__GATEWAY_URL`.
    """
    async with AsyncExitStack() as stack:
        if not url:
            store = stack.enter_context(tempfile.TemporaryDirectory(prefix="jetmesh-"))
            url = stack.enter_context(Broker(Path(store))).url
        loaded = _load(services, url, settings or {})
        running = {}
        for service in services:
            running[service.name] = await stack.enter_async_context(Running(service, loaded))
        control = await ControlPlane.connect(loaded.settings.nats, name="test")
        stack.push_async_callback(control.close)
        for each in running.values():
            await each.started
        await eventually(
            lambda: not any(each.health.problems() for each in running.values()),
            within=within,
            what="a ready mesh",
        )
        yield Mesh(url, control, running)


def _load(services: Sequence[Service], url: str, variables: Mapping[str, str]) -> Loaded:
    environ = {"JETMESH__HTTP__PORT": "0", "JETMESH__NATS__URL": url, **variables}
    # not the jetmesh.toml of the project, unless the test asks for it
    file = None if "JETMESH_SETTINGS" in variables else Path(os.devnull)
    return load_settings(services, file=file, environ=environ)
