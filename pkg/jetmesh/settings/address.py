"""The address of a NATS server, as people write it."""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import urlsplit

_PORT: Final = 4222
_SCHEMES: Final = ("nats", "tls")


class Address(NamedTuple):
    """Where a server listens, and whether its address asks for TLS."""

    host: str
    port: int
    tls: bool


def address_of(url: str) -> Address:
    """Read `nats://host:port`, `tls://host`, or `host:port`; the scheme may be in capitals.

    Strictly, because what is almost `tls://` must not pass for a host to be spoken to in the clear.

    Raises:
        ValueError: it is none of these; the message does not quote it, it may hold a password.
    """
    url = url.strip()
    try:
        parts = urlsplit(url if "://" in url else f"nats://{url}")
        host, port = parts.hostname, parts.port or _PORT
    except ValueError:
        raise ValueError("not the address of a NATS server") from None
    if "@" in parts.netloc:
        raise ValueError("the user belongs in nats.user, the password in nats.password")
    if not host or parts.scheme not in _SCHEMES or parts.path.strip("/") or parts.query:
        raise ValueError("not the address of a NATS server")
    return Address(host, port, parts.scheme == "tls")


def asks_for_tls(urls: str) -> bool:
    """Whether one of several addresses asks for TLS: then it holds for all of them.

    Raises:
        ValueError: one is not an address.
    """
    return any(address_of(url).tls for url in urls.split(",") if url.strip())
