"""What a server says of itself: the argument of INFO, checked before anything believes it."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

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


_Kind = TypeVar("_Kind", Greeting, Info)


def read_info(argument: bytes, kind: type[_Kind]) -> _Kind:
    """Read an INFO, as a `Greeting` when it came in the clear, where TLS follows.

    A null says nothing, as in every other client.

    Raises:
        BrokerError: no server says that, such as a limit below zero.
    """
    try:
        said = msgspec.json.decode(argument, type=dict[str, Any])
        return msgspec.convert({n: v for n, v in said.items() if v is not None}, kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BrokerError(f"its INFO is not valid: {error}") from error
