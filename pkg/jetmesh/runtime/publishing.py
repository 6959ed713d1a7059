"""Publish events from any program: checked, keyed, guarded, and sent until their fate is known."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Coroutine, Sequence
from functools import partial
from time import monotonic
from typing import Any, Final, Self

import msgspec
import structlog
from msgspec import Struct

from jetmesh import wire
from jetmesh.declare import (
    EventSpec,
    Permissions,
    Publishing,
    PublishWrap,
    Stored,
    declared_spec,
    escape_key,
    key_of,
    matches,
)
from jetmesh.declare.permissions import publishing
from jetmesh.errors import AlreadyDecided, BrokerError, ContractViolation, UsageError, WindowFull
from jetmesh.protocol import headers as header
from jetmesh.protocol.ids import is_same_id
from jetmesh.protocol.versions import said
from jetmesh.runtime.message.asking import Asking, Doubts
from jetmesh.runtime.message.belief import Belief, Decided, Forged, Impossible, Place
from jetmesh.runtime.message.letters import unreadable
from jetmesh.runtime.tracing.asked import parts_for
from jetmesh.runtime.tracing.parts import UNTRACED
from jetmesh.settings import NatsSettings, load_settings
from jetmesh.transport.dataplane import DataPlane
from jetmesh.transport.outcomes import unreadable_as
from jetmesh.transport.seam import Message, Transport
from jetmesh.transport.stored import StoredMessage, read

WINDOW: Final = 1024
_CLOSE_SECONDS: Final = 10.0
_ASK_AGAIN_SECONDS: Final = 0.5
_FORGED_SECONDS: Final = 2.0
_legal_id = re.compile(r"[\x21-\x7e]{1,1024}")
_encode = msgspec.json.Encoder().encode

log = structlog.get_logger()


class Publisher(Publishing):
    """Publishes events, each stored once however often it has to be sent.

        async with Publisher(PurchaseCreated) as publisher:
            stored = await publisher.publish(purchase, message_id=f"web:{purchase.id}")

    `events`: the event types that it may publish. `nats`: how to reach the broker; left out, as
    ./jetmesh.toml and the environment say. `name`: what the broker calls the connection, and how
    the message ids begin that it makes. `window`: how many events `publish_nowait` lets be on their
    way. `wrap`: `async def` functions that run around each event, the first one outermost, with the
    rest as a call and the event; they return what the call returned, or raise instead of it.

    An event is checked against its contract, goes to the subject of its key, and is guarded where
    it takes part in a decision. It is sent again after every silence and every reconnect, under one
    message id: within the stream's `duplicate_window` the server stores it once. With a
    `message_id` of your own that holds across processes: publish again what may have been
    published before.

    Raises:
        UsageError: there is no event, or one of `events` is none.
    """

    def __init__(
        self,
        *events: type[Struct],
        nats: NatsSettings | None = None,
        name: str = "publisher",
        window: int = WINDOW,
        wrap: Sequence[PublishWrap] = (),
    ) -> None:
        if not events:
            raise UsageError("A Publisher publishes nothing.", remedy="Name its event types.")
        self._outgoing = {each: _Outgoing(declared_spec(each)) for each in events}
        self._nats = nats
        self._name = name
        self._window = window
        self._wraps = tuple(wrap)
        self._wrapped: set[asyncio.Task[Stored]] = set()
        """What is in its wraps."""
        self._sent: set[asyncio.Future[Stored]] = set()
        """What has no fate yet."""
        self._plane: Transport | None = None
        self._own: DataPlane | None = None
        """The connection, where no service has it."""
        self._asking: set[asyncio.Task[None]] = set()
        self.doubts = Doubts(Asking(name))
        self._parts = UNTRACED

    async def __aenter__(self) -> Self:
        """Return once connected, however long that takes.

        Raises:
            SettingsError: a setting is wrong, or names a file that cannot be read.
        """
        nats = self._nats or load_settings([]).settings.nats
        subjects = [each.spec.subject for each in self._outgoing.values()]
        self._parts = parts_for(self._name, "", subjects)
        self._own = self._parts.plane(nats, name=self._name, needs=self._needs(nats))
        await self._own.connect()
        return self.on(self._own)

    async def __aexit__(self, *_: object) -> None:
        """Wait up to 10 s for what is on its way.

        Raises:
            BrokerError: it is not known whether everything is stored.
        """
        assert self._own is not None  # noqa: S101 - it was entered
        try:
            await self.flush(_CLOSE_SECONDS)
        finally:
            self.close()
            await self._own.close()
            await self._parts.end()

    @property
    def problem(self) -> str:
        """Why nothing can be stored just now, in words; empty when all is well."""
        if self._plane is None:
            return "not connected"
        return self._plane.problem or self.doubts.problem

    def on(self, plane: Transport) -> Self:
        """Publish on a connection that somebody else closes, as a service does."""
        self._plane = plane
        return self

    def close(self) -> None:
        """Wait for nothing any more."""
        for task in self._asking:
            task.cancel()
        for told in (*self._wrapped, *self._sent):
            told.cancel()

    async def publish(self, event: Struct, *, message_id: str = "") -> Stored:
        """Store an event, and return once the server says where, however long that takes.

        Cancelling it, as `asyncio.timeout` does, ends the waiting and not the sending.

        Raises:
            ContractViolation: the event does not keep its contract.
            AlreadyDecided: its key has an outcome already.
            BrokerError: it can never be stored, as when it is larger than the server takes.
            UsageError: its type is none of `events`, or the message id not legal.
        """
        return await self._within(event, message_id, self._wraps)

    def publish_nowait(self, event: Struct, *, message_id: str = "") -> asyncio.Future[Stored]:
        """Send an event now; the future tells where it is stored, or raises as `publish` does.

        Raises:
            WindowFull: as many events as the window holds are on their way.
            ContractViolation, UsageError: as `publish`; nothing was sent.
        """
        unknown = max(len(self._sent), len(self._wrapped))
        if unknown >= self._window:
            raise WindowFull(
                f"{unknown} events are on their way: {self.problem or 'it is too fast'}.",
                remedy="Await some of the futures, or `publish`, before sending more.",
            )
        if not self._wraps:
            return self._send(event, message_id)
        task = asyncio.create_task(self._within(event, message_id, self._wraps))
        self._wrapped.add(task)
        task.add_done_callback(self._wrapped.discard)
        return task

    async def _within(
        self, event: Struct, message_id: str, wraps: tuple[PublishWrap, ...]
    ) -> Stored:
        if not wraps:
            return await asyncio.shield(self._send(event, message_id))
        return await wraps[0](partial(self._within, event, message_id, wraps[1:]), event)

    async def flush(self, timeout: float | None = None) -> None:
        """Return once the fate of everything sent so far is known.

        Raises:
            BrokerError: that takes longer than `timeout` seconds.
        """
        waiting = {*self._wrapped, *self._sent}
        if not waiting:
            return
        _, unknown = await asyncio.wait(waiting, timeout=timeout)
        if unknown:
            raise BrokerError(
                f"It is not known whether {len(unknown)} events are stored: "
                f"{self.problem or 'no answer yet'}.",
                remedy="Publish them again under the same ids.",
            )

    def _send(self, event: Struct, message_id: str) -> asyncio.Future[Stored]:
        if self._plane is None:
            raise UsageError("The Publisher is not open.", remedy="async with Publisher(…) as it:")
        outgoing = self._outgoing.get(type(event))
        if outgoing is None:
            names = ", ".join(each.__name__ for each in self._outgoing)
            raise UsageError(
                f"The Publisher does not publish {type(event).__name__}, only {names}.",
                remedy=f"Publisher({names}, {type(event).__name__})",
            )
        message_id = message_id or f"{self._name}:{secrets.token_hex(12)}"
        fate = _Fate(self, outgoing, outgoing.message(event, message_id), message_id)
        self._sent.add(fate.told)
        fate.told.add_done_callback(self._sent.discard)
        self._plane.publish(*fate.message, fate)
        return fate.told

    async def look(self, fate: _Fate) -> None:
        """The key has an outcome: it may be this very event, sent before."""
        assert self._plane is not None  # noqa: S101 - it has sent something
        outgoing = fate.outgoing
        look = partial(self._plane.lookups.last, outgoing.spec.stream, fate.decided_on)
        stored = await self.doubts.asking.until_answered(look, fate.message_id)
        is_same = (
            stored is not None
            and is_same_id(stored.message_id, fate.message_id)
            and stored.subject == fate.message[0].decode()
        )
        if stored is None:  # it was removed meanwhile, or a follower is behind
            await asyncio.sleep(_ASK_AGAIN_SECONDS)
            self._plane.publish(*fate.message, fate)
        elif why := self._doubt(stored):
            await self._wait(fate, Forged(stored, why))
        elif is_same:
            fate.settle(Stored(stored.stream, stored.sequence, duplicate=True))
        else:
            fate.settle(AlreadyDecided(stored.subject, f"{stored.stream}:{stored.sequence}"))

    async def confirm(self, fate: _Fate, message: Message, sequence: int) -> None:
        """Its id was taken already: by this very event, sent before, or by another."""
        assert self._plane is not None  # noqa: S101 - it has sent something
        spec, plane = fate.outgoing.spec, self._plane
        belief = Belief(plane.lookups, plane.publish, self.doubts.asking, may_be_blind=True)
        doubt = partial(unreadable_as, spec)
        match await belief.confirm(spec.stream, message, sequence, doubt, fate.message_id):
            case Place(stands_at, squatted=squatted):
                fate.settle(Stored(spec.stream, stands_at, duplicate=not squatted))
            case Forged() as forged:
                await self._wait(fate, forged)
            case Decided():
                fate.on_decided()
            case Impossible(reason):
                fate.on_impossible(reason)

    def _doubt(self, stored: StoredMessage) -> str:
        """Why an outcome of a type that we know is none; another's may be of any type."""
        known = [each.spec for each in self._outgoing.values()]
        found = [s for s in known if matches(s.filters[-1], stored.subject)]
        return unreadable_as(found[0], stored) if found else ""

    async def _wait(self, fate: _Fate, forged: Forged) -> None:
        """Publish it again when whoever may has removed what stands in the way."""
        assert self._plane is not None  # noqa: S101 - it has sent something
        text = f"{forged.place} is forged: {forged.why}; jetmesh heal {forged.place} removes it"
        if text not in self.doubts.forged:
            log.error("forged message in the way", message_id=fate.message_id, stored=text)
        self.doubts.forged[text] = monotonic() + 2 * _FORGED_SECONDS
        await asyncio.sleep(_FORGED_SECONDS)
        self._plane.publish(*fate.message, fate)

    def ask(self, finding_out: Coroutine[Any, Any, None]) -> None:
        """Find out what it is that the server has already."""
        task = asyncio.ensure_future(finding_out)
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    def _needs(self, nats: NatsSettings) -> Permissions:
        return Permissions(
            publish=tuple(s for each in self._outgoing for s in publishing(declared_spec(each))),
            subscribe=(f"{nats.inbox_prefix}.>",),
        )


class _Outgoing:
    """How events of one type become messages."""

    def __init__(self, spec: EventSpec) -> None:
        self.spec = spec
        self._decode = msgspec.json.Decoder(spec.type).decode

    def message(self, event: Struct, message_id: str) -> tuple[bytes, bytes, bytes]:
        """Subject, headers, payload.

        Raises:
            ContractViolation: the event does not keep its contract.
            UsageError: the id is no message id.
        """
        spec, subject = self.spec, self.spec.subject
        headers = {**said(spec.version), header.MESSAGE_ID: message_id}
        payload = self._checked(event)
        if spec.key:
            token = escape_key(key_of(spec, event))
            subject = f"{subject}.{token}"
            if spec.decision:
                headers |= {
                    header.EXPECTED_SEQUENCE: "0",
                    header.EXPECTED_ON: f"{spec.decision}.{token}",
                }
        if _legal_id.fullmatch(message_id) is None:
            raise UsageError(
                "The message id is not legal.", remedy="Use 1 to 1024 visible ASCII characters."
            )
        return subject.encode(), wire.block(headers), payload

    def _checked(self, event: Struct) -> bytes:
        """A Struct checks its fields when it is decoded, not when it is made."""
        payload = b""
        try:
            payload = _encode(event)
            self._decode(payload)
        except Exception as error:
            violation = unreadable(self.spec, payload, error)
            if isinstance(violation, ContractViolation):
                raise violation from None
            text = f"{self.spec.subject}: it cannot be written: {error}"
            raise ContractViolation(text) from error
        return payload


class _Fate:
    """Waits for the fate of one event (`seam.Waiter`)."""

    def __init__(
        self,
        publisher: Publisher,
        outgoing: _Outgoing,
        message: tuple[bytes, bytes, bytes],
        message_id: str,
    ) -> None:
        self.told: asyncio.Future[Stored] = asyncio.get_running_loop().create_future()
        self.outgoing = outgoing
        self.message = message
        self.message_id = message_id
        self._publisher = publisher

    @property
    def decided_on(self) -> str:
        """The subjects of which its key may have only one."""
        token = self.message[0].decode().removeprefix(f"{self.outgoing.spec.subject}.")
        return f"{self.outgoing.spec.decision}.{token}"

    def settle(self, fate: Stored | Exception) -> None:
        if self.told.done():
            return  # whoever waited has gone
        if isinstance(fate, Exception):
            self.told.set_exception(fate)
        else:
            self.told.set_result(fate)

    def on_stored(self, answer: bytes) -> None:
        found = read(answer, b"", "")
        self.settle(Stored(found.stream, found.seq, duplicate=False))

    def on_duplicate(self, message: Message, sequence: int) -> None:
        self._publisher.ask(self._publisher.confirm(self, message, sequence))

    def on_decided(self) -> None:
        self._publisher.ask(self._publisher.look(self))

    def on_impossible(self, reason: str) -> None:
        self.settle(BrokerError(f"{self.outgoing.spec.subject} cannot be stored: {reason}."))
