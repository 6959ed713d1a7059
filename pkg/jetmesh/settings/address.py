"""Addresses of NATS servers, as people write them: read here and nowhere else.

Strictly, because what is almost `tls://` must not pass for a host to be spoken to in the clear,
and what cannot be read may hold a password: no error quotes it, and nothing shows any of it.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from jetmesh.errors import SettingsError

_PORT: Final = 4222
_LAST_PORT: Final = 65_535
_SCHEMES: Final = ("nats", "tls")
_HIDDEN: Final = "***"
_REMEDY: Final = (
    "Write nats://host:4222 or tls://host:4222, with nats://user:password@ or nats://token@ where "
    "they are needed, several separated by commas."
)

_name = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?")
_number = re.compile(r"(.*\.)?([0-9]+|0[xX][0-9a-fA-F]*)\.?")
"""What a resolver reads as an IPv4 address, however odd."""
_stray_percent = re.compile(r"%(?![0-9A-Fa-f]{2})")
_scheme = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    """Whom an address says that we are: a user and a password, or a token."""

    user: str = ""
    password: str = ""
    token: str = ""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens, whether its address asks for TLS, and whom it says that we are."""

    host: str
    port: int
    tls: bool
    login: Login | None = field(default=None, repr=False)


def addresses_of(urls: str, origin: str = "nats.url") -> tuple[Address, ...]:
    """Read addresses with commas between them; a comma at the end says nothing.

    Raises:
        SettingsError: there is none, or one cannot be used; nothing of them is quoted.
    """
    texts = _texts(urls)
    if not texts:
        raise SettingsError(f"{origin} is empty.", remedy=_REMEDY)
    found = []
    for number, text in enumerate(texts, 1):
        try:
            found.append(address_of(text, alone=len(texts) == 1))
        except ValueError as error:
            which = f"address {number} of {len(texts)}" if len(texts) > 1 else "the address"
            raise SettingsError(
                f"{origin}: {which} cannot be used: {error}.", remedy=_REMEDY
            ) from None
    return tuple(found)


def address_of(text: str, *, alone: bool = True) -> Address:
    """Read one address: `nats://host:port`, `tls://user:password@host`, `token@host`, `host:port`.

    Raises:
        ValueError: it is none; the message says why, and quotes nothing.
    """
    if " " in text or not text.isprintable():
        raise ValueError("it holds a blank or a control character")
    scheme, marked, rest = text.partition("://")
    if not marked:
        scheme, rest = "nats", text
    scheme = scheme.lower()
    if scheme not in _SCHEMES:
        raise ValueError("it begins neither with nats:// nor with tls://")
    rest = rest.removesuffix("/")
    if any(each in rest for each in "/?#\\"):
        raise ValueError(
            "a path, a query or a fragment means nothing to a NATS server, and in a user or a "
            "password / is written %2F, ? %3F, # %23"
        )
    userinfo, at, place = rest.rpartition("@")
    if at and not marked and not alone:
        # "nats://u:1,b@h" could be two servers, or one with a comma in its password
        raise ValueError("among several, one with a user needs its nats:// or tls://")
    host, port = _place(place)
    if not marked and host == "tls":
        raise ValueError("tls is written tls://")
    return Address(host, port, scheme == "tls", _login(userinfo) if at else None)


def asks_for_tls(urls: str) -> bool:
    """Whether one of several addresses asks for TLS: then it holds for all of them.

    Raises:
        SettingsError: one cannot be used.
    """
    return any(address.tls for address in addresses_of(urls))


def shown(urls: str) -> str:
    """Addresses as people may see them: without users, and not at all if one cannot be read."""
    texts = _texts(urls)
    try:
        addresses = [address_of(text, alone=len(texts) == 1) for text in texts]
    except ValueError:
        return _HIDDEN
    return ",".join(
        without_userinfo(text) if address.login is None else _masked(text)
        for text, address in zip(texts, addresses, strict=True)
    )


def without_userinfo(text: str) -> str:
    """Any text without the user and password of a url that it may be or hold.

    Everything up to its last @ goes, because a password that was not escaped may hold anything.
    """
    before, at, _ = text.rpartition("@")
    return _masked(text) if at and ("//" in before or ":" in before) else text


def _masked(text: str) -> str:
    scheme = _scheme.match(text)
    return f"{scheme.group() if scheme else ''}{_HIDDEN}@{text.rpartition('@')[2]}"


def _texts(urls: str) -> list[str]:
    return [text for each in urls.split(",") if (text := each.strip())]


def _place(text: str) -> tuple[str, int]:
    """Host and port; the port may be left out, with its colon."""
    host, bracket, rest = text.partition("]")
    if bracket:
        return _ipv6(host), _port(rest)
    host, colon, port = text.partition(":")
    if ":" in port:
        raise ValueError("an IPv6 address stands in brackets, as in nats://[::1]:4222")
    return _host(host), _port(colon + port)


def _ipv6(text: str) -> str:
    try:
        address = ipaddress.IPv6Address(text.removeprefix("["))
    except ValueError:
        raise ValueError("what stands in brackets is not an IPv6 address") from None
    if address.scope_id is not None:
        raise ValueError("an IPv6 address with a zone is not supported")
    return str(address)


def _host(text: str) -> str:
    if not text:
        raise ValueError("it names no host")
    try:
        host = text.encode("idna").decode("ascii")  # a name of other letters as DNS has it
    except UnicodeError:
        raise ValueError("its host is not a name") from None
    if not _name.fullmatch(host):
        raise ValueError("its host is not a name")
    if _number.fullmatch(host):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise ValueError("its host is a number, but not an IPv4 address") from None
    return host


def _port(text: str) -> int:
    if not text:
        return _PORT
    digits = text.removeprefix(":")
    known = text != digits and digits.isascii() and digits.isdigit() and len(digits) < 6  # noqa: PLR2004 - int() of a long one takes long
    if not known or not 1 <= int(digits) <= _LAST_PORT:
        raise ValueError(f"its port is not a number from 1 to {_LAST_PORT}")
    return int(digits)


def _login(userinfo: str) -> Login:
    """As NATS clients read it: a user without a colon is a token."""
    user, colon, password = userinfo.partition(":")
    if not user:
        raise ValueError("it has a password without a user" if password else "its user is empty")
    if not colon:
        return Login(token=_decoded(user))
    return Login(user=_decoded(user), password=_decoded(password))


def _decoded(text: str) -> str:
    if _stray_percent.search(text):
        raise ValueError("in a user or a password % is written %25")
    try:
        return unquote(text, errors="strict")
    except UnicodeError:
        raise ValueError("a user or a password is not UTF-8") from None
