"""The servers to try, in turn, and how long to wait between two rounds."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from jetmesh.errors import SettingsError

_PORT = 4222
_FIRST_DELAY = 0.05
_LONGEST_DELAY = 2.0


@dataclass(frozen=True, slots=True)
class Server:
    """One address of the list."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Servers:
    """The configured servers first, then those that a server told us of."""

    def __init__(self, urls: str) -> None:
        self._configured = [parse_server(url) for url in urls.split(",") if url.strip()]
        if not self._configured:
            raise SettingsError("nats.url is empty.", remedy="Write nats://host:4222.")
        self._learned: list[Server] = []

    def learn(self, addresses: Iterable[str]) -> None:
        """Take over `connect_urls` of an INFO: the servers that are there now."""
        known = set(self._configured)
        self._learned = [s for s in map(parse_server, addresses) if s not in known]

    def __iter__(self) -> Iterator[Server]:
        return iter([*self._configured, *self._learned])

    def __str__(self) -> str:
        return ", ".join(map(str, self))


def delays() -> Iterator[float]:
    """Seconds to wait before each new round: growing, jittered, at most two seconds."""
    delay = _FIRST_DELAY
    while True:
        yield delay * (0.5 + random.random())  # noqa: S311 - jitter is no secret
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
