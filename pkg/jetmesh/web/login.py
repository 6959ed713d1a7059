"""Who may see a page: whoever knows its token, or whom a proxy names that is trusted (ADR-0024)."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from jetmesh.rate import RateLimit
from jetmesh.runtime.visitors import OF_PROXY
from jetmesh.web.page import Pages

SESSION_SECONDS: Final = 12 * 3600
_ATTEMPTS: Final = 10
_ATTEMPT_SECONDS: Final = 60.0
SHORTEST_TOKEN: Final = 16
_DIGITS: Final = 16
_MOST_BYTES: Final = 4096


class Login:
    """Guards routes: `Login(frame, token=settings.access_token).guarded(routes)`.

    `token`: who knows it is let in: by a link that ends in `?token=…`, by the form, or as
    `Authorization: Bearer …`. A browser keeps a session of twelve hours, not the token.
    `identity_header`: who comes from one of `http.trusted_proxies` with this header is let in, as
    by oauth2-proxy (`X-Forwarded-Email`); from anybody else it means nothing.
    `is_open`: everybody is let in. With none of the three nobody is, and the page says so.

    Raises:
        ValueError: the token is shorter than 16 characters.
    """

    def __init__(
        self, frame: Pages, *, token: str = "", identity_header: str = "", is_open: bool = False
    ) -> None:
        if 0 < len(token) < SHORTEST_TOKEN:
            raise ValueError(f"a token has {SHORTEST_TOKEN} characters or more")
        self._frame = frame
        self._token = token
        self._header = identity_header
        self._is_open = is_open
        self._failed = RateLimit(_ATTEMPTS, _ATTEMPT_SECONDS)

    def guarded(self, routes: Sequence[BaseRoute]) -> list[BaseRoute]:
        """The login, the files that every page links to, and behind it `routes`."""
        behind = Mount("", routes=list(routes), middleware=[Middleware(_Guard, login=self)])
        return [Route("/login", self._try, methods=["POST"]), self._frame.static, behind]

    def admits(self, request: Request) -> bool:
        """Whether whoever asks is known already."""
        if self._is_open or self._is_named(request):
            return True
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self._knows(request, given):
            return True
        return self._is_session(request.cookies.get(_cookie(request), ""))

    def ask(self, request: Request, *, wrong: bool = False) -> Response:
        """What somebody sees who is not known."""
        if "token" in request.query_params:
            return self._by_link(request)
        if "text/html" not in request.headers.get("accept", ""):
            return PlainTextResponse("Log in: this page wants its token.\n", 401)
        can = bool(self._token)
        return self._frame.show("login.html", {"wrong": wrong, "can": can}, status=401)

    def _by_link(self, request: Request) -> Response:
        """Let in who has the token in the link, and take it out of what the browser shows."""
        others = [(n, v) for n, v in request.query_params.multi_items() if n != "token"]
        asked = f"?{urlencode(others)}" if others else ""
        # one slash: a path that begins with two would be somebody else's address
        path = "/" + request.url.path.lstrip("/") + asked
        if self._knows(request, request.query_params["token"]):
            return self._in(request, path)
        if self.admits(request):  # an old link of somebody who is in already
            return RedirectResponse(path, 303)
        return self._frame.show("login.html", {"wrong": True, "can": True}, status=401)

    async def _try(self, request: Request) -> Response:
        if not is_same_origin(request):
            return PlainTextResponse("This form belongs to another page.\n", 403)
        form = dict(parse_qsl((await read_body(request, _MOST_BYTES)).decode(errors="replace")))
        if self._knows(request, form.get("token", "")):
            return self._in(request, "/")
        return self._frame.show("login.html", {"wrong": True, "can": True}, status=401)

    def _knows(self, request: Request, given: str) -> bool:
        client = client_of(request)
        if not self._token or self._failed.is_reached(client):
            return False
        if hmac.compare_digest(given.encode(), self._token.encode()):
            return True
        self._failed.count(client)
        return False

    def _is_named(self, request: Request) -> bool:
        from_proxy = request.scope.get("state", {}).get(OF_PROXY, False)
        return bool(self._header and from_proxy and request.headers.get(self._header))

    def _in(self, request: Request, path: str) -> Response:
        answer = RedirectResponse(path, 303, {"cache-control": "no-store"})
        answer.set_cookie(
            _cookie(request),
            self._session(int(time.time()) + SESSION_SECONDS),
            max_age=SESSION_SECONDS,
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="lax",
        )
        return answer

    def _session(self, until: int) -> str:
        """Known by every replica, and ended by another token."""
        made = hmac.new(self._token.encode(), f"session {until}".encode(), hashlib.sha256)
        return f"{until}.{made.hexdigest()}"

    def _is_session(self, given: str) -> bool:
        until, _, _ = given.partition(".")
        if not self._token or not (until.isascii() and until.isdecimal() and len(until) < _DIGITS):
            return False
        known = hmac.compare_digest(given.encode(), self._session(int(until)).encode())
        return known and int(until) > time.time()


class _Guard:
    """Lets through who is admitted, and of those no form of another page."""

    def __init__(self, app: ASGIApp, login: Login) -> None:
        self._app = app
        self._login = login

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        if not self._login.admits(request) or "token" in request.query_params:
            await self._login.ask(request)(scope, receive, send)
        elif request.method not in ("GET", "HEAD") and not is_same_origin(request):
            await PlainTextResponse("This comes from another page.\n", 403)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def is_same_origin(request: Request) -> bool:
    """Whether a form was sent by a page of ours, or by no browser at all."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host", "")


def client_of(request: Request) -> str:
    """Whom a limit counts: an address, and of IPv6 the network that one subscriber has."""
    address = request.client.host if request.client else ""
    return ":".join(address.split(":")[:4]) if ":" in address else address


async def read_body(request: Request, most: int) -> bytes:
    """What was sent; cut where it is longer than `most`, so that it cannot be read."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            return body[:most]
    return body


def _cookie(request: Request) -> str:
    """Cookies know no ports: pages beside each other on one machine have names of their own."""
    return f"session-{request.url.port or 0}"
