"""What a server says of itself: the argument of INFO, checked before anything believes it."""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from jetmesh.errors import BrokerError


class Greeting(Struct, frozen=True, kw_only=True):
    """All that counts of an INFO that came in the clear, where TLS follows."""

    nonce: str = ""
    """What a client signs that proves itself by a key."""
    tls_required: bool = False
    tls_available: bool = False


class Info(Greeting, frozen=True, kw_only=True):
    """An INFO whose limits and addresses count."""

    server_name: str = ""
    version: str = ""
    cluster: str = ""
    max_payload: Annotated[int, Meta(ge=1)] | None = None
    """Bytes of headers and payload in one message; None when the server does not say."""
    connect_urls: list[str] | None = None
    """host:port of the servers of its cluster."""
    ldm: bool = False
    """It goes away soon (lame duck mode)."""


_Told = TypeVar("_Told", Greeting, Info)
_greeting: Final = msgspec.json.Decoder(Greeting)
_info: Final = msgspec.json.Decoder(Info)


def read_greeting(argument: bytes) -> Greeting:
    """Read an INFO that came in the clear, where TLS follows.

    Raises:
        BrokerError: no server says that.
    """
    return _read(_greeting, argument)


def read_info(argument: bytes) -> Info:
    """Read an INFO.

    Raises:
        BrokerError: no server says that, such as a limit below zero.
    """
    return _read(_info, argument)


def _read(decoder: msgspec.json.Decoder[_Told], argument: bytes) -> _Told:
    try:
        return decoder.decode(argument)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BrokerError(f"its INFO is not valid: {error}") from error
