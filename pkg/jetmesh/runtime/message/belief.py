"""Whether what the broker has under our message id is ours (ADR-0017).

A PubAck with `duplicate` says that somebody took the id within the window, not who, nor on which
subject; and the id stays taken when that message is deleted. So it is looked at what stands on our
own subject. What is not stored there is published under another id, with a guard that makes the
leader say whether the look was right: nothing is stored twice, and nobody waits for the window.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

import structlog

from jetmesh import wire
from jetmesh.errors import BrokerError
from jetmesh.protocol import headers as header
from jetmesh.protocol.ids import is_same_id, other_id
from jetmesh.runtime.message.asking import Asking
from jetmesh.transport.lookups import NotGrantedError
from jetmesh.transport.outcomes import Outcomes
from jetmesh.transport.seam import Looks, Message, Waiter
from jetmesh.transport.stored import StoredMessage, read

_PAUSE_SECONDS: Final = 0.05
"""Between two rounds: what changes so often is written to by many, or by an attacker."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Place:
    """Where our message is stored."""

    sequence: int
    squatted: bool = False
    """Somebody else had taken its id, so it is stored under another one."""


@dataclass(frozen=True, slots=True)
class Forged:
    """What stands where a message of ours belongs, and why it cannot be ours."""

    stored: StoredMessage
    why: str

    @property
    def place(self) -> str:
        """`ORDERS:17`, as people look it up."""
        return f"{self.stored.stream}:{self.stored.sequence}"


@dataclass(frozen=True, slots=True)
class Decided:
    """The guard of its decision refused it."""


@dataclass(frozen=True, slots=True)
class Impossible:
    """No server will ever store it."""

    reason: str


Publish: TypeAlias = Callable[[bytes, bytes, bytes, Waiter], None]
Fate: TypeAlias = Place | Forged | Decided | Impossible
Doubt = Callable[[StoredMessage], str]
"""Why a message on our subject with our id cannot be ours, in words; empty when it can."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """By what it is told whether something stored is what it seems to be."""

    looks: Looks
    outcomes: Outcomes


class Belief:
    """Finds out what became of a message that the broker calls a duplicate."""

    def __init__(
        self,
        looks: Looks,
        publish: Publish,
        asking: Asking,
        *,
        may_be_blind: bool = False,
    ) -> None:
        self._looks = looks
        self._may_be_blind = may_be_blind
        """Nobody grants looks to who publishes from outside: it believes what it cannot refute."""
        self._publish = publish
        self._asking = asking

    async def confirm(
        self,
        stream: str,
        message: Message,
        sequence: int,
        doubt: Doubt,
        about: str,
        *,
        publish: Publish | None = None,
        rather_twice: bool = False,
    ) -> Fate:
        """The fate of `message`, of whose id the broker says that `sequence` was the first.

        `about`: what it is published for, as people look it up. `publish`: how, where that is
        another way than for the rest. `rather_twice`: in a stream that
        others write to as well nobody may read; what cannot be told there is stored once more.
        """
        ours, sent, first = message, message, sequence
        while True:
            look = partial(self._look, stream, ours, first, doubt, rather_twice=rather_twice)
            found, last = await self._asking.until_answered(look, about)
            if found is not None:
                return found
            sent = _under_other_id(sent, first, last or 0)
            told = await self._told(sent, publish or self._publish)
            match told:
                case Place(stands_at):
                    log.error(
                        "message id taken by another, stored under another id",
                        subject=ours[0].decode(errors="replace"),
                        taken_by=f"{stream}:{sequence}",
                        stored=f"{stream}:{stands_at}",
                    )
                    return told
                case int():
                    first = told  # that id is taken, too
                case Decided() if not _decides(ours):
                    if last is None:
                        return Place(sequence)
                    sent, first = ours, sequence  # something came meanwhile: look again
                case _:
                    return told
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _look(
        self,
        stream: str,
        message: Message,
        sequence: int,
        doubt: Doubt,
        *,
        rather_twice: bool,
    ) -> tuple[Place | Forged | None, int | None]:
        """What stands on our subject under our id, and where the last message of it stands.

        None is for both who may not look, and has to.

        Raises:
            BrokerError: nobody knows.
        """
        subject, wanted = message[0].decode(), _id_of(message)
        try:
            last = await self._looks.last(stream, subject)
            if last is None:
                return None, 0
            found: StoredMessage | None = last
            is_ours = is_same_id(last.message_id, wanted)
            is_final = _decides(message) or rather_twice
            if not is_ours and last.sequence > sequence and not is_final:
                # others came on our subject since: is that one of ours, or of another subject?
                found = await self._looks.since(stream, subject, sequence)
                if found is None:
                    raise BrokerError(f"{stream} is behind {last.sequence}.")
        except NotGrantedError:
            if self._may_be_blind:
                return None, None
            raise
        if found is None or not is_same_id(found.message_id, wanted):
            return None, last.sequence
        why = doubt(found)
        return Forged(found, why) if why else Place(found.sequence), last.sequence

    async def _told(self, message: Message, publish: Publish) -> Fate | int:
        """What the server says; a number is the sequence of who has the id."""
        told = _Told()
        publish(*message, told)
        return await told.future


class _Told:
    """Waits for the fate of one message (`seam.Waiter`)."""

    def __init__(self) -> None:
        self.future: asyncio.Future[Fate | int] = asyncio.get_running_loop().create_future()

    def _set(self, told: Fate | int) -> None:
        if not self.future.done():
            self.future.set_result(told)

    def on_stored(self, answer: bytes) -> None:
        self._set(Place(read(answer).seq, squatted=True))

    def on_duplicate(self, _: Message, sequence: int) -> None:
        self._set(sequence)

    def on_decided(self) -> None:
        self._set(Decided())

    def on_impossible(self, reason: str) -> None:
        self._set(Impossible(reason))


def _headers(message: Message) -> dict[str, str]:
    return wire.parse(message[1], exact=True).values


def _id_of(message: Message) -> str:
    return _headers(message)[header.MESSAGE_ID]


def _decides(message: Message) -> bool:
    return header.EXPECTED_ON in _headers(message)


def _under_other_id(message: Message, taken_by: int, last: int) -> Message:
    """The same message under an id that was free so far.

    It is guarded, where it decides nothing: `last` is the newest on its subject, or the leader
    refuses it.
    """
    subject, _, payload = message
    headers = _headers(message)
    headers[header.MESSAGE_ID] = other_id(headers[header.MESSAGE_ID], taken_by)
    if header.EXPECTED_ON not in headers:
        headers[header.EXPECTED_SEQUENCE] = str(last)
    return subject, wire.block(headers), payload
