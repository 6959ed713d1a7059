"""The servers to try, in turn, and how long to wait between two rounds."""

from __future__ import annotations

import contextlib
import ipaddress
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from jetmesh.errors import SettingsError
from jetmesh.settings import NatsSettings, address_of, without_userinfo
from jetmesh.transport.auth import wants_tls

_FIRST_DELAY = 0.05
_LONGEST_DELAY = 1.0


@dataclass(frozen=True, slots=True)
class Server:
    """One address of the list."""

    host: str
    port: int
    known_as: str = field(default="", compare=False)
    """The name that its certificate is to be for, when `host` is an address we were told."""
    tls: bool = field(default=False, compare=False)
    """Nothing but TLS will do: the settings ask for it, or who told of it spoke TLS with us."""

    @property
    def tls_name(self) -> str:
        return self.known_as or self.host

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Servers:
    """The configured servers first, then those that a server told us of.

    Raises:
        SettingsError: `nats.url` is empty, or holds what is not an address.
    """

    def __init__(self, nats: NatsSettings) -> None:
        self._configured = [parse_server(url) for url in nats.url.split(",") if url.strip()]
        if not self._configured:
            raise SettingsError("nats.url is empty.", remedy="Write nats://host:4222.")
        if wants_tls(nats):
            self._configured = [replace(server, tls=True) for server in self._configured]
        self._ignores_discovered = nats.ignore_discovered_servers
        self._learned: list[Server] = []

    def learn(self, addresses: Iterable[str] | None, source: Server) -> None:
        """Take over `connect_urls` of an INFO: the servers that are there now.

        An INFO without any keeps what is known: a server that advertises nothing still belongs
        to the same cluster.
        """
        if self._ignores_discovered:
            return
        found = []
        for address in addresses or ():
            with contextlib.suppress(SettingsError):  # one odd address must not cost the others
                found.append(parse_server(address))
        if not found:
            return
        known = set(self._configured)
        self._learned = [_trusted_as(source, server) for server in found if server not in known]

    def __iter__(self) -> Iterator[Server]:
        return iter([*self._configured, *self._learned])

    def __str__(self) -> str:
        return ", ".join(map(str, self))


def delays() -> Iterator[float]:
    """Seconds to wait before each new round: growing, jittered, at most one second."""
    delay = _FIRST_DELAY
    while True:
        yield delay * (0.5 + random.random() / 2)  # noqa: S311 - jitter is no secret
        delay = min(delay * 2, _LONGEST_DELAY)


def parse_server(url: str) -> Server:
    """`nats://host:port`, `tls://host`, or `host:port`.

    Raises:
        SettingsError: it is none of these.
    """
    try:
        host, port, tls = address_of(url)
    except ValueError as error:
        raise SettingsError(
            f"{without_userinfo(url)!r} cannot be used: {error}.", remedy="Check nats.url."
        ) from error
    return Server(host, port, tls=tls)


def in_words(error: Exception) -> str:
    """Why a server could not be used."""
    if isinstance(error, ConnectionRefusedError):
        return "nothing is listening there"
    if isinstance(error, TimeoutError):
        return str(error) or "no answer"
    return str(error).removeprefix("nats: ").strip("'") or type(error).__name__


def _trusted_as(source: Server, server: Server) -> Server:
    """As the server that told of it: over TLS if that spoke TLS, and by a name we know.

    Servers advertise addresses, their certificates hold names: keep the name that we used.
    """
    server = replace(server, tls=source.tls or server.tls)
    if not _is_address(server.host) or _is_address(source.tls_name):
        return server
    return replace(server, known_as=source.tls_name)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
