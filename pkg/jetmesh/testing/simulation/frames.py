"""What a process sends, and what the server does with it once it reads that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jetmesh.protocol.acks import durable_of, numbers_of
from jetmesh.testing.simulation.answers import puback, refusal
from jetmesh.testing.simulation.refused import Refused

if TYPE_CHECKING:
    from jetmesh.testing.simulation.connection import Connection


class Verdict:
    """A verdict on its way to the server."""

    def __init__(self, connection: Connection, reply: bytes, verdict: bytes) -> None:
        self._connection = connection
        self._reply = reply
        self._verdict = verdict

    def __call__(self) -> None:
        stream, name = durable_of(self._reply.decode())
        if (stream, name) in self._connection.refused:
            self._connection.on_refused(stream, name)
            return
        durable = self._connection.server.durable(stream, name)
        if durable is not None:
            durable.settle(int(numbers_of(self._reply)[1]), self._verdict)


class Publish:
    """A message on its way to the server, as the frame that it is on a real connection."""

    def __init__(self, connection: Connection, frame: bytes) -> None:
        self._connection = connection
        self._frame = frame

    def __call__(self) -> None:
        line, _, rest = self._frame.partition(b"\r\n")
        _, subject, reply, header_size, size = line.split(b" ")
        headers, payload = rest[: int(header_size)], rest[int(header_size) : int(size)]
        status, answer = self._stored(subject.decode(), headers, payload)
        publishes = self._connection.publishes
        self._connection.answers.waiting.append(
            lambda: publishes.on_answer(reply, b"", status, answer)
        )

    def _stored(self, subject: str, headers: bytes, payload: bytes) -> tuple[bytes, bytes]:
        """A status, or what the stream answers."""
        stream = self._connection.server.of_subject(subject)
        if stream is None:
            return b"NATS/1.0 503\r\n\r\n", b""
        try:
            return b"", puback(stream.name, *stream.publish(subject, headers, payload))
        except Refused as refused:
            return b"", refusal(stream.name, refused)
