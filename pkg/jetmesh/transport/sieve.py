"""What a server says to nats-py, without what would end nats-py's read loop for good.

nats-py decodes an INFO as it comes, keeps every address that it names, and compares each with
each; it dies of an error without a text. Its connection then looks well and is dead. So INFO is
read here, as on the data plane, and an error is put as nats-py expects it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from jetmesh import wire

_LONGEST: Final = 10
"""Digits of a length."""


class Sieve:
    """Takes a stream of bytes and returns what is left of it, line by line; payloads stay.

    `replace` gets verb and argument of each line that brings no message, and returns what nats-py
    is to read instead.
    """

    def __init__(self, replace: Callable[[bytes, bytes], bytes]) -> None:
        self._replace = replace
        self._line = bytearray()
        """The beginning of a line whose end has not come."""
        self._payload = 0
        """How many bytes of a message are still to come."""

    def feed(self, data: bytes) -> bytes:
        """What there is for nats-py.

        Raises:
            wire.ProtocolError: it is no NATS protocol.
        """
        if self._line:
            self._line += data
            if b"\n" not in data:  # or a long line would be searched anew with each piece
                wire.check_line(len(self._line))
                return b""
            data = bytes(self._line)
            self._line.clear()
        kept = []
        begin = position = min(self._payload, len(data))
        if position:
            kept.append(data[:position])
            self._payload -= position
        while not self._payload and (end := data.find(b"\r\n", position)) >= 0:
            line = data[position:end]
            after = end + 2
            if line.startswith((b"MSG ", b"HMSG ")):
                self._payload = _size(line) + 2
                position = min(after + self._payload, len(data))
                self._payload -= position - after
            else:
                kept += (data[begin:position], self._replace(*wire.control(line)))
                begin = position = after
        kept.append(data[begin:position])
        if position < len(data):
            wire.check_line(len(data) - position)
            self._line += data[position:]
        return b"".join(kept)


def _size(line: bytes) -> int:
    digits = line.rpartition(b" ")[2]
    if not digits.isdigit() or len(digits) > _LONGEST or int(digits) > wire.MAX_MESSAGE:
        raise wire.ProtocolError(f"{digits[:20]!r} is not a length")
    return int(digits)
