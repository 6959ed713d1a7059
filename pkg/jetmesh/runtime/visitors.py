"""What comes before every page: which names it has, which proxies are believed, and headers."""

from __future__ import annotations

from collections.abc import Sequence
from email.utils import formatdate
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from jetmesh.errors import SettingsError
from jetmesh.settings import HttpSettings

OF_PROXY: Final = "jetmesh.of_proxy"
"""In the `state` of a request: it came from a proxy that is trusted."""
MOST_STREAMS: Final = "jetmesh.most_streams"
"""In the `state` of a request: how many event streams may be open at once."""
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_usual: Final = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


class Visitors:
    """Lets requests through to `app`: from trusted proxies with what these say of them.

    Raises:
        SettingsError: `http.trusted_proxies` holds something else than addresses and networks.
    """

    def __init__(self, app: ASGIApp, settings: HttpSettings, *, most_streams: int) -> None:
        self._app = app
        self._proxies = _networks(settings.trusted_proxies)
        self._behind_proxy = ProxyHeadersMiddleware(app, list(settings.trusted_proxies))  # type: ignore[arg-type] # uvicorn's own types of the same thing
        self._most_streams = most_streams
        listens_here = settings.host in _LOOPBACK
        # a page of this machine has no other names: one that somebody's DNS points at it is a trap
        names = settings.allowed_hosts or (_LOOPBACK if listens_here else ())
        self._names = [each.lower() for each in names]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._names and _name_in(Headers(scope=scope).get("host", "")) not in self._names:
            text = "This is not the name of this page (http.allowed_hosts).\n"
            await PlainTextResponse(text, 400)(scope, receive, with_headers(send))
            return
        of_proxy = self._is_proxy((scope.get("client") or ("",))[0])
        state = scope.setdefault("state", {})
        state |= {OF_PROXY: of_proxy, MOST_STREAMS: self._most_streams}
        app = self._behind_proxy if of_proxy else self._app
        await app(scope, receive, with_headers(send))  # type: ignore[arg-type] # as above: two names for one type

    def _is_proxy(self, client: str) -> bool:
        try:
            address = ip_address(client)
        except ValueError:
            return False
        return any(address in network for network in self._proxies)


def with_headers(send: Send) -> Send:
    """Send, with the headers that every answer has and this one lacks."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message.setdefault("headers", [])
            headers = MutableHeaders(raw=list(message["headers"]))
            for name, value in {**_usual, "date": formatdate(usegmt=True)}.items():
                headers.setdefault(name, value)
            message["headers"] = headers.raw
        await send(message)

    return sending


def _name_in(host: str) -> str:
    """A `Host` without its port and brackets."""
    name, colon, port = host.rpartition(":")
    whole = name if colon and port.isdecimal() else host
    return whole.strip("[]").lower()


def _networks(proxies: Sequence[str]) -> list[IPv4Network | IPv6Network]:
    try:
        return [ip_network(each, strict=False) for each in proxies]
    except ValueError as error:
        raise SettingsError(
            f"http.trusted_proxies: {error}.",
            remedy="Write addresses and networks: 10.0.0.7, 10.1.0.0/16.",
        ) from error
