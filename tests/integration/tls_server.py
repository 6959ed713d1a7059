"""A server that speaks TLS record by record, so that a test says where chunks begin and end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import ssl
from typing import Any, Self

from jetmesh import wire
from jetmesh.settings import NatsSettings
from tests.certificates import Certificates

_LISTENING = re.compile(rb"SUB (\S+) (\d+)\r\n")


class TlsServer:
    """INFO in the clear, TLS, then whatever the test says; one client at a time.

    It answers each PING with a PONG, the first one with an INFO behind it, as nats-server does.
    """

    def __init__(self, certificates: Certificates, **info: Any) -> None:
        self.inside: dict[str, Any] | None = {"server_name": "records", "max_payload": 1 << 20}
        """The INFO inside TLS; None for a server that says nothing of itself there."""
        self.connections = 0
        self.read = bytearray()
        """What the client said inside TLS, on its newest connection."""
        self._certificates = certificates
        self._greeting = {"tls_required": True, "max_payload": 1 << 20, **info}
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificates["server.pem"], certificates["server.key"])

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    @property
    def settings(self) -> NatsSettings:
        return NatsSettings(
            url=f"tls://127.0.0.1:{self.port}", tls_ca_file=self._certificates["ca.pem"]
        )

    def close(self) -> None:
        """Listen no more, and end the connection that is there."""
        self._server.close()
        if self.connections:
            self._writer.transport.abort()

    def record(self, data: bytes) -> bytes:
        """`data` as one record, which must be sent before the next one is made."""
        self._tls.write(data)
        return self._out.read()

    def send(self, chunk: bytes) -> None:
        """Send bytes of records, or anything else."""
        self._writer.write(chunk)

    def tell(self, info: dict[str, Any]) -> None:
        """Send an INFO, as a server does when its cluster changes."""
        self.send(self.record(_info(info)))

    def inbox(self) -> tuple[bytes, bytes]:
        """Subject and id of the newest subscription."""
        subject, sid = _LISTENING.findall(bytes(self.read))[-1]
        return subject, sid

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.read.clear()
        self._writer = writer
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = self._context.wrap_bio(self._in, self._out, server_side=True)
        self._pongs = 0
        writer.write(_info(self._greeting))
        with contextlib.suppress(ConnectionError, ssl.SSLError, asyncio.CancelledError):
            while data := await reader.read(1 << 16):
                self._in.write(data)
                self._go_on()
                writer.write(self._out.read())
        writer.close()

    def _go_on(self) -> None:
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()
            while data := self._tls.read(1 << 16):
                self.read += data
                for _ in range(data.count(wire.PING)):
                    self._pong()

    def _pong(self) -> None:
        self._tls.write(wire.PONG)
        self._pongs += 1
        if self._pongs == 1 and self.inside is not None:
            self._tls.write(_info(self.inside))


def _info(facts: dict[str, Any]) -> bytes:
    return b"INFO " + json.dumps(facts).encode() + b"\r\n"
