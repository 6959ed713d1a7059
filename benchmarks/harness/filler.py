"""Fills streams over a plain socket, so that filling costs neither time nor a client's help."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from itertools import islice
from typing import Final, Self

_CHUNK: Final = 1000
"""Messages per PubAck: well below the 10,000 that a stream buffers before it drops."""


class Filler:
    """Publishes in chunks and waits for the PubAck of each chunk's last message."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), timeout=30)
        self._lines = self._socket.makefile("rb")
        self._lines.readline()
        self._socket.sendall(b'CONNECT {"verbose":false,"headers":true}\r\nSUB _INBOX.fill 1\r\n')

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._socket.close()

    def fill(self, messages: Iterable[tuple[str, bytes]]) -> None:
        """Store every (subject, payload).

        Raises:
            RuntimeError: the server refused one, or says that it missed one.
        """
        rest, first = iter(messages), 0
        while chunk := list(islice(rest, _CHUNK)):
            frames = [b"PUB %s %d\r\n%s\r\n" % (s.encode(), len(p), p) for s, p in chunk[:-1]]
            subject, payload = chunk[-1]
            frames.append(
                b"PUB %s _INBOX.fill %d\r\n%s\r\n" % (subject.encode(), len(payload), payload)
            )
            self._socket.sendall(b"".join(frames))
            stored = self._answer()
            if first and stored - first != len(chunk):
                raise RuntimeError(f"stored {stored - first} of {len(chunk)} messages")
            first = stored

    def _answer(self) -> int:
        while True:
            line = self._lines.readline()
            if line.startswith(b"PING"):
                self._socket.sendall(b"PONG\r\n")
            elif line.startswith(b"MSG "):
                answer = json.loads(self._lines.read(int(line.split()[-1]) + 2))
                if "error" in answer:
                    raise RuntimeError(str(answer["error"]))
                return int(answer["seq"])
            elif line.startswith((b"-ERR", b"HMSG")) or not line:
                raise RuntimeError(f"filling failed: {line!r}")
