"""What JetStream answers, on either plane: where a message is stored, what is stored, or why not.

An answer that cannot be read is an error like any other: it never ends a connection.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

import msgspec

from jetmesh import wire
from jetmesh.errors import BrokerError
from jetmesh.protocol.headers import CAUSE, MARKER_REASON, MESSAGE_ID, POSITION
from jetmesh.protocol.times import nanoseconds_of, time_at

_T = TypeVar("_T")
_NOTHING: Final = wire.Headers(0, "", {})
_position = re.compile(
    b"".join(rb"%s: ([^\r\n]*)\r\n" % name.encode() for name in POSITION) + rb"\r\n\Z"
)
NOT_FOUND: Final = 404
"""A `code`: there is no such stream, durable or message."""
UNAVAILABLE: Final = 503
"""A `code`: no leader, or no quorum, as in a cluster that elects."""

# each an `err_code`, as nats-server lists them in server/errors.json
NO_SUITABLE_PEERS: Final = 10005
"""Fewer nodes have met than a stream is to have copies."""
NO_LEADER: Final = 10008
NO_DURABLE: Final = 10014
NOT_ENABLED: Final = (10039, 10076)
NO_STREAM: Final = 10059
DECIDED: Final = 10071
"""Wrong last sequence: to a guarded publish, that the key has an outcome."""
NEVER_STORED: Final = frozenset(
    {
        10054,  # larger than the stream's max_msg_size
        10097,  # more than 64 KiB of headers
        10109,  # the stream is sealed, which cannot be undone
    }
)


class Reason(msgspec.Struct):
    """Why not: the `error` of an answer."""

    code: int = 0
    """As in HTTP; 0 where it is not the server that says so."""
    err_code: int = 0
    """Exactly what it is; 0 where the server gives none."""
    description: str = ""

    def __str__(self) -> str:
        code = self.err_code or self.code
        return f"{self.description} ({code})" if code else self.description


class TooOldError(BrokerError):
    """The server lacks what decisions need: waiting does not mend that."""


class ApiError(BrokerError):
    """The JetStream API refused a request; `about` says which."""

    def __init__(self, about: str, reason: Reason) -> None:
        super().__init__(f"{about}: {reason}.")
        self.code = reason.code
        self.err_code = reason.err_code
        self.description = reason.description


@dataclass(frozen=True, slots=True)
class PubAck:
    """Where the server stored a message."""

    stream: str
    sequence: int
    duplicate: bool


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One message as a stream keeps it."""

    stream: str
    sequence: int
    subject: str
    headers: dict[str, str]
    """Exactly: `wire.legible` is what may be shown of a value."""
    payload: bytes
    stored_ns: int
    """When, in nanoseconds since 1970."""

    @property
    def place(self) -> str:
        """`ORDERS:17`."""
        return f"{self.stream}:{self.sequence}"

    @property
    def stored_at(self) -> datetime:
        return time_at(self.stored_ns)

    @property
    def message_id(self) -> str:
        return wire.legible(self.headers.get(MESSAGE_ID, ""))

    @property
    def cause_id(self) -> str:
        """What names its cause: its message id, or what the step of a state says instead."""
        return self.message_id or wire.legible(self.headers.get(CAUSE, ""))

    @property
    def removal(self) -> str:
        """Why others are gone, where the server's mark says so; empty of any other message."""
        return "" if self.payload else wire.legible(self.headers.get(MARKER_REASON, ""))


class _Found(msgspec.Struct):
    subject: str
    seq: int
    time: str
    hdrs: bytes = b""
    data: bytes = b""
    stored_ns: int = 0

    def __post_init__(self) -> None:
        self.stored_ns = nanoseconds_of(self.time)  # a ValueError ends as one of the decoder


class Answer(msgspec.Struct):
    """What is common to all answers, a PubAck, and a message that was asked for."""

    error: Reason | None = None
    stream: str = ""
    seq: int = 0
    duplicate: bool = False
    message: _Found | None = None


_decode = msgspec.json.Decoder(Answer).decode


def read(payload: bytes, headers: bytes = b"", nobody: str = "") -> Answer:
    """An answer, whatever arrived; `nobody` is what it means when the server says 503 alone."""
    if headers and (status := wire.parse(headers)).status:
        return Answer(Reason(status.status, 0, status.description or nobody))
    try:
        return _decode(payload)
    except (ValueError, RecursionError):
        return Answer(Reason(description="the answer cannot be read"))


def accepted(about: str, answer: Answer) -> Answer:
    """The answer, unless it is an error.

    Raises:
        ApiError: the server refused.
        BrokerError: it cannot be read.
    """
    if answer.error is None:
        return answer
    if not answer.error.code:
        raise BrokerError(f"{about}: {answer.error}.")
    raise ApiError(about, answer.error)


async def if_exists(query: Awaitable[_T]) -> _T | None:
    """What the broker answers; None when it has no such stream, durable or message.

    Raises:
        BrokerError: it refuses for another reason, or does not answer.
    """
    try:
        return await query
    except ApiError as error:
        if error.code == NOT_FOUND:
            return None
        raise


def message_in(about: str, stream: str, answer: Answer) -> StoredMessage:
    """The message that an answer brings; without one it raises as `accepted` does."""
    found = accepted(about, answer).message
    if found is None:
        raise BrokerError(f"{about}: the answer is empty.")
    headers = wire.parse(found.hdrs, exact=True).values
    return StoredMessage(stream, found.seq, found.subject, headers, found.data, found.stored_ns)


def directly(about: str, headers: bytes, payload: bytes) -> StoredMessage | None:
    """The message that a direct get brings; None when there is none.

    The server tells behind a message's own headers where it stands: those may claim the like, and
    where they do not end as headers do, it writes over their last two bytes.

    Raises:
        BrokerError: it is no answer.
    """
    told = _position.search(headers)
    if told is None:
        status = wire.parse(headers) if headers else _NOTHING
        if status.status == NOT_FOUND:
            return None
        if status.status:
            reason = Reason(status.status, 0, status.description or "nobody answers")
            raise ApiError(about, reason)
        raise BrokerError(f"{about}: the answer cannot be read.")
    stream, subject, sequence, at = (each.decode(errors="replace") for each in told.groups())
    values = wire.parse(headers[: told.start()] + b"\r\n", exact=True).values
    try:
        return StoredMessage(stream, int(sequence), subject, values, payload, nanoseconds_of(at))
    except ValueError as error:
        raise BrokerError(f"{about}: the answer cannot be read.") from error


def time_of(text: str) -> datetime:
    """A time as the server writes it, to the microsecond; ValueError when it is none."""
    return msgspec.convert(text, datetime)
