"""What a process sends, and what the server does with it once it reads that."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from jetmesh.protocol.acks import durable_of, numbers_of
from jetmesh.testing.simulation.refused import Refused
from jetmesh.testing.simulation.server import Server


class Verdict:
    """A verdict on its way to the server."""

    def __init__(
        self, server: Server, reply: bytes, verdict: bytes, is_refused: Callable[[str, str], bool]
    ) -> None:
        self._server = server
        self._reply = reply
        self._verdict = verdict
        self._is_refused = is_refused

    def __str__(self) -> str:
        stream, name = durable_of(self._reply.decode())
        word, sequence = self._verdict.partition(b" ")[0], numbers_of(self._reply)[1]
        return f"{word.decode()} of {stream}:{sequence.decode()} to {name}"

    def __call__(self) -> None:
        stream, name = durable_of(self._reply.decode())
        durable = self._server.durable(stream, name)
        if durable is not None and not self._is_refused(stream, name):
            durable.settle(int(numbers_of(self._reply)[1]), self._verdict)


class Publish:
    """A message on its way to the server, as the frame that it is on a real connection."""

    def __init__(
        self, server: Server, frame: bytes, answer: Callable[[bytes, bytes, bytes], None]
    ) -> None:
        self._server = server
        self._frame = frame
        self._answer = answer
        """Gets where the answer goes, a status if it is one, and what is answered."""

    def __str__(self) -> str:
        return f"publish {self._frame.split(b' ', 2)[1].decode()}"

    def __call__(self) -> None:
        line, _, rest = self._frame.partition(b"\r\n")
        _, subject, reply, header_size, size = line.split(b" ")
        headers, payload = rest[: int(header_size)], rest[int(header_size) : int(size)]
        self._answer(reply, *self._stored(subject.decode(), headers, payload))

    def _stored(self, subject: str, headers: bytes, payload: bytes) -> tuple[bytes, bytes]:
        """A status, or what the stream answers."""
        stream = self._server.of_subject(subject)
        if stream is None:
            return b"NATS/1.0 503\r\n\r\n", b""
        try:
            return b"", _puback(stream.name, *stream.publish(subject, headers, payload))
        except Refused as refused:
            refusal = {"error": refused.reason, "stream": stream.name, "seq": 0}
            return b"", msgspec.json.encode(refusal)


def _puback(stream: str, sequence: int, is_duplicate: bool) -> bytes:  # noqa: FBT001 - as the server has it
    """Where a message is stored, or where the first one of its id is; byte for byte."""
    duplicate = b',"duplicate": true' if is_duplicate else b""
    return b'{"stream":"%b", "seq":%d%b}' % (stream.encode(), sequence, duplicate)
