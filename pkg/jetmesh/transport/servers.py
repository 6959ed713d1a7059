"""The servers to try, in turn, and how long to wait between two rounds."""

from __future__ import annotations

import contextlib
import ipaddress
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from jetmesh.settings import Login, NatsSettings, address_of, addresses_of
from jetmesh.transport.auth import wants_tls

_FIRST_DELAY = 0.05
_LONGEST_DELAY = 1.0
_MOST_LEARNED = 256
"""Of a larger cluster so many are as good as all, and reading all would take the loop too long."""
_MOST_TRIED = 16
"""Of those in one round: through all of them it would come back to the first far too late."""


@dataclass(frozen=True, slots=True)
class Server:
    """One address of the list."""

    host: str
    port: int
    known_as: str = field(default="", compare=False)
    """The name that its certificate is to be for, when `host` is an address we were told."""
    tls: bool = field(default=False, compare=False)
    """Nothing but TLS will do: the settings ask for it, or who told of it spoke TLS with us."""
    login: Login | None = field(default=None, compare=False, repr=False)
    """Who we are to it, where its address, or that of who told of it, says so."""

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
        tls = wants_tls(nats)
        self._configured = [
            Server(each.host, each.port, tls=tls, login=each.login)
            for each in addresses_of(nats.url)
        ]
        self._ignores_discovered = nats.ignore_discovered_servers
        self._learned: list[Server] = []

    def learn(self, addresses: Iterable[str] | None, source: Server) -> None:
        """Take over `connect_urls` of an INFO: the servers that are there now.

        An INFO without any keeps what is known: a server that advertises nothing still belongs
        to the same cluster.
        """
        if self._ignores_discovered:
            return
        told = [*(addresses or ())]
        if len(told) > _MOST_LEARNED:
            told = random.sample(told, _MOST_LEARNED)
        found = []
        for address in told:
            with contextlib.suppress(ValueError):  # one odd address must not cost the others
                where = address_of(address)
                found.append(Server(where.host, where.port, tls=where.tls))
        if not found:
            return
        known = set(self._configured)
        others = [server for server in dict.fromkeys(found) if server not in known]
        self._learned = [_trusted_as(source, server) for server in others]

    def __iter__(self) -> Iterator[Server]:
        """Those to try in one round: all that are configured, and some of the others."""
        learned = self._learned
        if len(learned) > _MOST_TRIED:
            learned = random.sample(learned, _MOST_TRIED)
        return iter([*self._configured, *learned])

    def __str__(self) -> str:
        named = [*self._configured, *self._learned[:_MOST_TRIED]]
        more = len(self._learned) - _MOST_TRIED
        return ", ".join(map(str, named)) + (f" and {more} more" if more > 0 else "")


def delays() -> Iterator[float]:
    """Seconds to wait before each new round: growing, jittered, at most one second."""
    delay = _FIRST_DELAY
    while True:
        yield delay * (0.5 + random.random() / 2)  # noqa: S311 - jitter is no secret
        delay = min(delay * 2, _LONGEST_DELAY)


def in_words(error: Exception) -> str:
    """Why a server could not be used."""
    if isinstance(error, ConnectionRefusedError):
        return "nothing is listening there"
    if isinstance(error, TimeoutError):
        return str(error) or "no answer"
    return str(error).removeprefix("nats: ").strip("'") or type(error).__name__


def _trusted_as(source: Server, server: Server) -> Server:
    """As the server that told of it: over TLS if that spoke TLS, as the same user, by a known name.

    Servers advertise addresses, their certificates hold names: keep the name that we used. Whoever
    can name a server in the clear has heard in the clear who we are.
    """
    server = replace(server, tls=source.tls or server.tls, login=source.login)
    if not _is_address(server.host) or _is_address(source.tls_name):
        return server
    return replace(server, known_as=source.tls_name)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
