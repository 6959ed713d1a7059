"""The servers to try, in turn, and how long to wait between two rounds."""

from __future__ import annotations

import contextlib
import ipaddress
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from jetmesh.errors import SettingsError

_PORT = 4222
_FIRST_DELAY = 0.05
_LONGEST_DELAY = 1.0


@dataclass(frozen=True, slots=True)
class Server:
    """One address of the list."""

    host: str
    port: int
    known_as: str = field(default="", compare=False)
    """The name that its certificate is to be for, when `host` is an address we were told."""

    @property
    def tls_name(self) -> str:
        return self.known_as or self.host

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Servers:
    """The configured servers first, then those that a server told us of."""

    def __init__(self, urls: str) -> None:
        self._configured = [parse_server(url) for url in urls.split(",") if url.strip()]
        if not self._configured:
            raise SettingsError("nats.url is empty.", remedy="Write nats://host:4222.")
        self._learned: list[Server] = []

    def learn(self, addresses: Iterable[str] | None, told_by: Server | None = None) -> None:
        """Take over `connect_urls` of an INFO: the servers that are there now.

        An INFO without any keeps what is known: a server that advertises nothing still belongs
        to the same cluster.
        """
        found = []
        for address in addresses or ():
            with contextlib.suppress(SettingsError):  # one odd address must not cost the others
                found.append(parse_server(address))
        if not found:
            return
        known = set(self._configured)
        self._learned = [_named_by(told_by, server) for server in found if server not in known]

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
    url = url.strip()
    try:
        parts = urlsplit(url if "://" in url else f"nats://{url}")
        host, port = parts.hostname, parts.port or _PORT
    except ValueError:
        host, port = None, 0
    if not host or parts.scheme not in ("nats", "tls"):
        raise SettingsError(f"{url!r} is no address of a NATS server.", remedy="nats://host:4222")
    if parts.username:
        raise SettingsError(
            "nats.url holds a user name.", remedy="Set nats.user and nats.password instead."
        )
    return Server(host, port)


def in_words(error: Exception) -> str:
    """Why a server could not be used."""
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there"
    if isinstance(error, TimeoutError):
        return "no answer"
    return str(error).removeprefix("nats: ").strip("'") or type(error).__name__


def _named_by(told_by: Server | None, server: Server) -> Server:
    """Servers advertise addresses, their certificates hold names: keep the name that we used."""
    if told_by is None or not _is_address(server.host) or _is_address(told_by.tls_name):
        return server
    return replace(server, known_as=told_by.tls_name)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
