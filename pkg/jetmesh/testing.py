"""What a test of a service imports: handlers without a server, and a real mesh for one test.

outputs(service, decide, purchase)               # what a `def` handler returns, checked
await aoutputs(service, charge, order, gateway=fake)

async with mesh(validation, payments) as m:      # a real broker, the services in this process
    await m.publish(purchase)
    captured = await m.expect(PaymentCaptured, "p-1")
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from time import time_ns
from typing import Any, Final, TypeVar

import msgspec
import structlog
from msgspec import Struct
from structlog.typing import FilteringBoundLogger

from jetmesh.declare import (
    Delivery,
    Handler,
    Service,
    declared_spec,
    derive,
    escape_key,
    key_of,
)
from jetmesh.errors import UsageError
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.headers import MESSAGE_ID
from jetmesh.protocol.ids import Cause, token_of
from jetmesh.protocol.streams import lane_stream
from jetmesh.protocol.subjects import RETRY, lane_subject
from jetmesh.protocol.times import nanoseconds_of, time_at
from jetmesh.protocol.versions import said
from jetmesh.runtime.message.outputs import Outputs
from jetmesh.runtime.message.wrapped import wrapped
from jetmesh.runtime.running import Running
from jetmesh.settings import Loaded, load_settings
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.reader import reader_of
from jetmesh.transport.stored import PubAck, StoredMessage

__all__ = ["Mesh", "aoutputs", "delivery", "eventually", "mesh", "outputs"]

_E = TypeVar("_E", bound=Struct)
_NOON: Final = nanoseconds_of("2026-01-01T12:00:00Z")
_LOOK_SECONDS: Final = 0.02


def outputs(
    service: Service, function: Callable[..., Any], event: Struct, **given: Any
) -> list[Any]:
    """Call a `def` handler as the mesh would and return its outputs, decisions first.

    Input and outputs go through their encoding and back, so a value that does not keep its
    contract fails here. What wraps the service's handlers runs, too. A `Delivery` and default
    settings are passed unless given by name.

    Raises:
        UsageError: `function` is no `def` handler of `service`, or an argument is missing.
        ContractViolation, msgspec.ValidationError: a value does not keep its contract.
        Exception: whatever the handler raises.
    """
    handler = _handler(service, function)
    if handler.is_async:
        raise UsageError(
            f"{handler.name} is an async def handler.", remedy="Use await aoutputs(…)."
        )
    arguments = _arguments(service, handler, event, given)
    return _checked(handler, _called(handler, event, arguments))


async def aoutputs(
    service: Service, function: Callable[..., Any], event: Struct, **given: Any
) -> list[Any]:
    """`outputs` of an `async def` handler."""
    handler = _handler(service, function)
    if not handler.is_async:
        raise UsageError(f"{handler.name} is a def handler.", remedy="Use outputs(…).")
    arguments = _arguments(service, handler, event, given)
    return _checked(handler, await _called(handler, event, arguments))


def delivery(
    event: Struct, *, attempt: int = 1, sequence: int = 1, handler: str = "service.handler"
) -> Delivery:
    """The `Delivery` of `event`, as if stored at noon of the first day of 2026."""
    spec = declared_spec(type(event))
    stored_at = time_at(_NOON)
    key = key_of(spec, event)
    return _GivenDelivery(
        handler=handler,
        attempt=attempt,
        key=key,
        cause=f"{spec.stream}:{token_of(sequence, _NOON)}",
        correlation=key,
        stored_at=stored_at,
        deadline=stored_at + timedelta(seconds=20),
        log=structlog.get_logger(),
    )


@dataclass(frozen=True, slots=True)
class _GivenDelivery:
    handler: str
    attempt: int
    key: str
    cause: str
    correlation: str
    stored_at: datetime
    deadline: datetime
    log: FilteringBoundLogger


async def eventually(
    condition: Callable[[], Any], *, within: float = 10.0, what: str = "the condition"
) -> Any:
    """Wait until `condition()` is true and return it; awaits it when it is a coroutine.

    Raises:
        AssertionError: it is not true after `within` seconds.
    """
    try:
        async with asyncio.timeout(within) as limit:
            while True:
                result = condition()
                if asyncio.iscoroutine(result):
                    result = await result
                if result:
                    return result
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError:
        if limit.expired():
            raise AssertionError(f"{what} did not come true within {within} s") from None
        raise


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


def subject_of(event: Struct) -> str:
    """The subject that `event` is published on."""
    spec = declared_spec(type(event))
    return f"{spec.subject}.{escape_key(key_of(spec, event))}" if spec.key else spec.subject


def _load(services: Sequence[Service], url: str, variables: Mapping[str, str]) -> Loaded:
    environ = {"JETMESH__HTTP__PORT": "0", "JETMESH__NATS__URL": url, **variables}
    # not the jetmesh.toml of the project, unless the test asks for it
    file = None if "JETMESH_SETTINGS" in variables else Path(os.devnull)
    return load_settings(services, file=file, environ=environ)


def _handler(service: Service, function: Callable[..., Any]) -> Handler:
    derive([service])
    for handler in service.handlers:
        if handler.function is function:
            return handler
    raise UsageError(
        f"{function} is not a handler of {service.name}.", remedy="Declare it with on()."
    )


def _called(handler: Handler, event: Struct, arguments: dict[str, Any]) -> Any:
    """Within what wraps it, as a mesh does."""
    read = _input(handler, event)
    about = arguments.get(handler.delivery or "") or delivery(event, handler=_name(handler))
    return wrapped(lambda given, _: handler.function(given, **arguments), handler.wraps)(
        read, about
    )


def _name(handler: Handler) -> str:
    return f"{handler.service}.{handler.name}"


def _input(handler: Handler, event: Struct) -> Struct:
    if handler.input.key is not None:
        escape_key(getattr(event, handler.input.key))  # refuses a key that cannot be one
    return _through(event)


def _through(event: Struct) -> Struct:
    decoded: Struct = msgspec.json.decode(msgspec.json.encode(event), type=type(event))
    return decoded


def _arguments(
    service: Service, handler: Handler, event: Struct, given: dict[str, Any]
) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    if handler.delivery:
        arguments[handler.delivery] = delivery(event, handler=_name(handler))
    for name, kind in handler.needs.items():
        if kind is service.settings and name not in given:
            arguments[name] = _default_settings(handler, name, kind)
    arguments.update(given)
    expected = {handler.delivery, *handler.needs} - {None}
    if wrong := expected ^ set(arguments):
        raise UsageError(
            f"{handler.name} takes {sorted(map(str, expected))}, given were {sorted(arguments)}.",
            remedy=f"Correct {', '.join(sorted(map(str, wrong)))}.",
        )
    return arguments


def _default_settings(handler: Handler, name: str, kind: type) -> Any:
    try:
        return kind()
    except TypeError as error:
        raise UsageError(
            f"{kind.__name__} has fields without defaults: {error}.",
            remedy=f"Pass {name}={kind.__name__}(…) to {handler.name}.",
        ) from error


def _checked(handler: Handler, result: Any) -> list[Any]:
    if result is None:
        return []
    made = Outputs(handler)
    values = made.ordered(result)
    for value in values:
        made.by_type[type(value)].message(value, b"1-1")
        _through(value)
    return values
