"""Bytes from a NATS server in, frames out: sans-io, fed any split of bytes.

Messages go straight to the callback of their subscription, because a frame object per message
would cost as much as reading it. Protocol: https://docs.nats.io/reference/reference-protocols/nats-protocol
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

MAX_LINE: Final = 4 * 1024 * 1024
"""Longest control line; INFO of a large cluster is the longest there is, and nothing bounds it:
3,000 addresses are 95 KB, this is more than 100,000."""
MAX_MESSAGE: Final = 64 * 1024 * 1024
"""nats-server allows no larger max_payload."""

OnMessage: TypeAlias = Callable[[bytes, bytes, bytes, bytes], None]
"""(subject, reply, headers, payload); reply and headers are empty when there are none."""
OnControl: TypeAlias = Callable[[bytes, bytes], None]
"""(verb, argument) of INFO, PING, PONG, +OK and -ERR."""

_CR: Final = 13
_DIGITS: Final = 10
"""More than any length has."""
_LENGTHS: Final = {b"%d" % length: length for length in range(4096)}
"""Reading a length costs as much as finding its frame; most are in this table."""
_CONTROL: Final = (b"INFO", b"PING", b"PONG", b"+OK", b"-ERR")


class ProtocolError(Exception):
    """The bytes are no NATS protocol; the connection cannot be used any further."""


class Decoder:
    """Splits a stream of bytes into frames and calls back for each, in order.

    `routes` maps a subscription's id to its callback; messages of others are dropped, as they
    are after an UNSUB. Whatever a callback raises leaves `feed`, with the state still sound.
    """

    __slots__ = ("_limit", "_need", "_on_control", "_parts", "_received", "_routes")

    def __init__(
        self, routes: Mapping[bytes, OnMessage], on_control: OnControl, *, limit: int = MAX_MESSAGE
    ) -> None:
        self._routes = routes
        self._on_control = on_control
        self._limit = limit
        self._parts: list[bytes] = []
        self._received = 0
        self._need = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            ProtocolError: they are no NATS protocol, or a length is more than the limit.
        """
        if self._parts:
            self._parts.append(data)
            self._received += len(data)
            if self._received < self._need:
                return
            if not self._need and b"\n" not in data:
                # the end of a line is to come: joining a long one anew each time would take long
                check_line(self._received)
                return
            data = b"".join(self._parts)
            self._parts.clear()
        self._frames(data)

    def _frames(self, data: bytes) -> None:  # noqa: C901, PLR0912, PLR0915 - calls would cost every message
        """Read every whole frame; one loop without calls of our own, it runs for every message."""
        position, end = 0, len(data)
        self._need = 0
        routes, find, known, limit = self._routes.get, data.find, _LENGTHS.get, self._limit
        try:
            while position < end:
                line_end = find(b"\r\n", position)
                if line_end < 0:
                    check_line(end - position)
                    return
                fields = data[position:line_end].split(b" ")  # other blanks may stand in a subject
                verb = fields[0]
                if verb == b"MSG":
                    header_size = reply = b""
                    if len(fields) == 5:  # noqa: PLR2004 - verb, subject, sid, reply, size
                        _, subject, sid, reply, size = fields
                    elif len(fields) == 4:  # noqa: PLR2004 - verb, subject, sid, size
                        _, subject, sid, size = fields
                    else:
                        subject, sid, reply, size = _spaced(fields, 4)
                elif verb == b"HMSG":
                    if len(fields) == 6:  # noqa: PLR2004 - as above, and the size of headers
                        _, subject, sid, reply, header_size, size = fields
                    else:
                        subject, sid, reply, header_size, size = _spaced(fields, 5)
                else:
                    line = data[position:line_end]
                    position = line_end + 2
                    self._on_control(*control(line))
                    continue
                length = known(size)
                if length is None or length > limit:
                    length = _length(size, limit)
                start = line_end + 2
                stop = start + length
                if stop + 2 > end:
                    self._need = stop + 2 - position
                    return
                if data[stop] != _CR:
                    raise ProtocolError("a message does not end where its length says")
                headers = b""
                if header_size:
                    body = start + (known(header_size) or _length(header_size, limit))
                    if body > stop:
                        raise ProtocolError("headers are longer than their message")
                    headers = data[start:body]
                    start = body
                position = stop + 2
                route = routes(sid)
                if route is not None:
                    route(subject, reply, headers, data[start:stop])
        finally:
            if position < end:
                self._parts.append(data[position:] if position else data)
                self._received = end - position


def check_line(length: int) -> None:
    """Refuse a control line of which so many bytes have come, and no end.

    Raises:
        ProtocolError: no server sends such a long one.
    """
    if length >= MAX_LINE:
        raise ProtocolError(f"a control line is longer than {MAX_LINE} bytes")


def control(line: bytes) -> tuple[bytes, bytes]:
    """Verb and argument of a line that is neither MSG nor HMSG.

    Raises:
        ProtocolError: it is none that a server sends.
    """
    verb, _, argument = line.partition(b" ")
    if verb not in _CONTROL:
        raise ProtocolError(f"{verb[:20]!r} is not a verb of the NATS protocol")
    return verb, argument.strip()


def _spaced(fields: list[bytes], count: int) -> list[bytes]:
    """The arguments of MSG or HMSG, with an empty reply where there is none.

    Any number of spaces may divide them; nats-server writes one.
    """
    verb, *words = filter(None, fields)
    if len(words) == count - 1:
        words.insert(2, b"")
    if len(words) != count:
        raise ProtocolError(f"{verb.decode()} has {len(words)} arguments")
    return words


def _length(digits: bytes, limit: int) -> int:
    # int() takes signs and underscores, which no length has
    if digits.isdigit() and len(digits) <= _DIGITS and (length := int(digits)) <= limit:
        return length
    raise ProtocolError(f"{digits[:20]!r} is not a length of at most {limit} bytes")
