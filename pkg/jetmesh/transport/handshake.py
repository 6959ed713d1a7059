"""The way to a server that knows us: TCP, TLS where asked, CONNECT, PONG. Both planes take it.

What comes in the clear before TLS may come from anybody on the path. So of it only the nonce and
the TLS flags of one INFO count, and another byte ends the attempt. Limits and addresses are taken
from an INFO inside TLS, which the server sends after its first PONG, or at once where TLS comes
first (`handshake_first`). See docs/adr/0011-one-handshake.md.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from jetmesh import wire
from jetmesh.errors import BrokerError
from jetmesh.settings import NatsSettings
from jetmesh.transport.auth import credentials, tls_context
from jetmesh.transport.info import Greeting, Info, read_info
from jetmesh.transport.servers import Server, in_words

_HANDSHAKE_SECONDS: Final = 7.0
_CONNECT_SECONDS: Final = 1.0
"""Beyond it a new attempt is better: what a network dropped comes back only after growing waits."""
_FAREWELL_SECONDS: Final = 0.5
"""What TLS may take to end; its own default is half a minute."""
_QUOTED: Final = 60
_SILENT: Final = "no answer; a server with handshake_first needs nats.tls_first"


@dataclass(frozen=True, slots=True)
class Connection:
    """A server that knows us, and the transport to it."""

    server: Server
    """As it was reached: `tls` says whether TLS is up."""
    info: Info
    transport: asyncio.Transport
    _lines: _Lines

    def hand_to(self, protocol: asyncio.Protocol | asyncio.BufferedProtocol) -> None:
        """Let `protocol` have everything that arrives from now on.

        Raises:
            BrokerError: the connection was lost meanwhile.
        """
        if self._lines.lost is not None:
            raise BrokerError(self._lines.lost)
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)
        rest = bytes(self._lines.rest)
        if isinstance(protocol, asyncio.Protocol):
            protocol.data_received(rest)
            return
        while rest:
            buffer = memoryview(protocol.get_buffer(len(rest)))
            taken = min(len(rest), len(buffer))
            buffer[:taken], rest = rest[:taken], rest[taken:]
            protocol.buffer_updated(taken)


class NoServerError(Exception):
    """No server of the list took us; the message says of each why."""

    def __init__(self, tried: Iterable[str], *, refused: bool) -> None:
        super().__init__("; ".join(tried))
        self.refused = refused
        """Somebody is there, and does not want us or is not wanted."""


async def connect_any(
    servers: Iterable[Server], nats: NatsSettings, name: str, *, patience: float
) -> Connection:
    """The first server that takes us; each is tried once.

    Raises:
        NoServerError: none does, whatever the reason: it may be over the next time.
    """
    tried = []
    refused = False
    for server in servers:
        try:
            return await connect(server, nats, name, patience=patience)
        except Exception as error:  # noqa: BLE001 - nkeys raises of every kind, and see above
            refused |= isinstance(error, ssl.SSLError) or not isinstance(error, OSError)
            tried.append(f"{server}: {in_words(error)}")
    raise NoServerError(tried, refused=refused)


async def connect(server: Server, nats: NatsSettings, name: str, *, patience: float) -> Connection:
    """Connect, upgrade to TLS where asked, authenticate.

    `patience` is how many seconds the server may take until its first word.

    Raises:
        OSError: no server there, or its certificate is not trusted.
        BrokerError: the server refused us, or is not what we asked for.
        SettingsError: credentials or certificates cannot be read.
        TimeoutError: it did not answer in time, seven seconds for everything.
    """
    handshake = _Handshake(server, nats, name)
    try:
        async with asyncio.timeout(_HANDSHAKE_SECONDS):
            return await handshake.run(patience)
    except BaseException:
        handshake.abort()
        raise


class _Handshake:
    """One attempt; `_lines` is what arrives in its present phase: in the clear, or inside TLS."""

    def __init__(self, server: Server, nats: NatsSettings, name: str) -> None:
        self._server = server
        self._nats = nats
        self._name = name
        self._lines = _Lines()

    async def run(self, patience: float) -> Connection:
        async with asyncio.timeout(_CONNECT_SECONDS):
            await asyncio.get_running_loop().create_connection(
                lambda: self._lines, self._server.host, self._server.port
            )
        said = await self._first_word(patience)
        greeting, info = read_info(said, Greeting), None
        if self._nats.tls_first or not self._needs_tls(greeting):
            info = read_info(said, Info)
        else:
            await self._encrypt()
        # one more PONG where the INFO that counts comes between the two
        pongs = 1 if info else 2
        self._write(wire.connect(self._options(greeting.nonce)) + wire.PING * pongs)
        for _ in range(pongs):
            info = await self._until_pong(info)
        if info is None:
            raise BrokerError("it sends no INFO inside TLS; nats-server 2.12 and newer do")
        return Connection(self._server, info, self._lines.connected, self._lines)

    def abort(self) -> None:
        if self._lines.transport is not None:
            self._lines.transport.abort()  # TLS would wait for a farewell

    async def _first_word(self, patience: float) -> bytes:
        try:
            async with asyncio.timeout(patience):
                if self._nats.tls_first:
                    await self._encrypt()
                verb, argument = await self._lines.next()
        except TimeoutError:
            if self._server.tls and not self._nats.tls_first:
                raise TimeoutError(_SILENT) from None
            raise
        if verb != b"INFO":
            raise BrokerError(f"it does not speak NATS: it begins with {verb.decode()}")
        return argument

    def _needs_tls(self, greeting: Greeting) -> bool:
        if self._server.tls and not (greeting.tls_required or greeting.tls_available):
            raise BrokerError("it offers no TLS, which the settings ask for")
        return self._server.tls or greeting.tls_required

    async def _encrypt(self) -> None:
        """Begin anew inside TLS: nothing that was said in the clear is left."""
        clear, inside = self._lines, _Lines()
        clear.check_nothing_follows()
        try:
            transport = await asyncio.get_running_loop().start_tls(
                clear.connected,
                inside,
                tls_context(self._nats),
                server_hostname=self._server.tls_name,
                ssl_shutdown_timeout=_FAREWELL_SECONDS,
            )
        except ssl.SSLError as error:
            if error.reason == "WRONG_VERSION_NUMBER":
                raise BrokerError("it answers without TLS where TLS should begin") from error
            raise
        clear.check_nothing_follows()  # also not between its first chunk and TLS
        assert transport is not None  # noqa: S101 - typed optional for servers only
        inside.connection_made(transport)
        self._lines = inside
        self._server = replace(self._server, tls=True)

    async def _until_pong(self, info: Info | None) -> Info | None:
        """The newest INFO, once a PONG has come."""
        while True:
            verb, argument = await self._lines.next()
            if verb == b"PONG":
                return info
            if verb == b"INFO":
                info = read_info(argument, Info)
            elif verb == b"PING":
                self._write(wire.PONG)
            elif verb == b"-ERR":
                raise BrokerError(argument.decode(errors="replace").strip("'"))

    def _write(self, data: bytes) -> None:
        self._lines.connected.write(data)

    def _options(self, nonce: str) -> dict[str, Any]:
        return {
            "verbose": False,
            "pedantic": False,
            "lang": "python-jetmesh",
            "version": "1",
            "protocol": 1,
            "headers": True,
            "no_responders": True,
            "name": self._name,
            **credentials(self._nats, nonce, self._server.login),
        }


class _Lines(asyncio.Protocol):
    """Control lines, read one by one; what nobody has read yet is `rest`."""

    def __init__(self) -> None:
        self.rest = bytearray()
        self.lost: str | None = None
        """Why the connection is gone, while nobody else is told."""
        self.transport: asyncio.Transport | None = None
        self._changed = asyncio.Event()

    @property
    def connected(self) -> asyncio.Transport:
        assert self.transport is not None  # noqa: S101 - asked for only after it connected
        return self.transport

    async def next(self) -> tuple[bytes, bytes]:
        """Verb and argument of the next line.

        Raises:
            BrokerError: it is not a control line, or the connection is gone.
        """
        searched = 0
        try:
            while (end := self.rest.find(b"\r\n", max(0, searched - 1))) < 0:
                if self.lost is not None:
                    raise BrokerError(self.lost)
                searched = len(self.rest)
                wire.check_line(searched)
                self._changed.clear()
                await self._changed.wait()
            line = bytes(self.rest[:end])
            del self.rest[: end + 2]
            return wire.control(line)
        except wire.ProtocolError as error:
            raise BrokerError(f"it does not speak NATS: {error}") from error

    def check_nothing_follows(self) -> None:
        """Refuse whoever says more than one INFO before TLS: a server waits for us there."""
        if self.rest:
            said = bytes(self.rest[:_QUOTED])
            raise BrokerError(f"it, or somebody in between, sends more before TLS: {said!r}")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP and TLS both are
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.rest += data
        self._changed.set()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = str(error or "") or "the server closed the connection"
        self._changed.set()
