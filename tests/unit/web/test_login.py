"""Who is let in to a page, and who is not, whatever they send."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from jetmesh.runtime.visitors import Visitors
from jetmesh.settings import HttpSettings
from jetmesh.web import Login, Pages

TOKEN = "a-token-of-a-page"  # noqa: S105 - opens nothing
HTML = {"accept": "text/html"}


@asynccontextmanager
async def browser(
    *, client: str = "192.0.2.9", http: HttpSettings | None = None, **login: Any
) -> AsyncIterator[httpx.AsyncClient]:
    async def show(request: Request) -> Response:
        return PlainTextResponse(f"secret {request.method} {request.url.scheme}")

    routes = [Route("/", show, methods=["GET", "POST"]), Route("/board/{name}", show)]
    app = Starlette(routes=Login(Pages(Path("nowhere")), **login).guarded(routes))
    visitors = Visitors(app, http or HttpSettings(host="0.0.0.0"), most_streams=1)  # noqa: S104 - it binds nothing
    transport = httpx.ASGITransport(visitors, client=(client, 4000))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as made:
        yield made


async def test_nobody_is_let_in_without_the_token() -> None:
    async with browser(token=TOKEN) as stranger:
        for path in ("/", "/board/x", "/nothing", "/?token=", "/?token=wrong", "//evil.test/x"):
            answer = await stranger.get(path, headers=HTML)
            assert answer.status_code == 401, path
            assert "secret" not in answer.text
        assert (await stranger.get("/")).status_code == 401
        assert (await stranger.post("/")).status_code == 401
        bearer = {"authorization": "Bearer wrong"}
        assert (await stranger.get("/", headers=bearer)).status_code == 401


async def test_without_a_way_in_nobody_is_let_in_and_the_page_says_so() -> None:
    async with browser() as stranger:
        answer = await stranger.get("/", headers=HTML)
        assert answer.status_code == 401
        assert "Nobody can log in here" in answer.text
        assert (await stranger.post("/login", data={"token": ""})).status_code == 401
        session = {"cookie": "session-0=99999999999.x"}
        assert (await stranger.get("/", headers=session)).status_code == 401


async def test_a_link_lets_in_and_the_token_leaves_the_address() -> None:
    async with browser(token=TOKEN) as person:
        answer = await person.get(f"/board/x?token={TOKEN}&of=1")
        assert answer.headers["location"] == "/board/x?of=1"
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Secure" not in cookie
        assert TOKEN not in cookie
        assert (await person.get("/board/x")).text.startswith("secret")


async def test_a_link_leads_to_no_other_site() -> None:
    async with browser(token=TOKEN) as person:
        answer = await person.get(f"http://shop.test//evil.test/x?token={TOKEN}")
        assert answer.headers["location"] == "/evil.test/x"


async def test_the_form_lets_in_and_a_foreign_page_cannot_send_it() -> None:
    async with browser(token=TOKEN) as person:
        form = {"token": TOKEN}
        for foreign in ({"sec-fetch-site": "cross-site"}, {"origin": "http://evil.test"}):
            assert (await person.post("/login", data=form, headers=foreign)).status_code == 403
        assert (await person.post("/login", data={"token": "x"})).status_code == 401
        assert (await person.post("/login", data=form)).status_code == 303
        assert (await person.get("/")).text == "secret GET http"
        assert (await person.post("/", headers={"origin": "http://shop.test"})).status_code == 200
        assert (await person.post("/", headers={"origin": "http://evil.test"})).status_code == 403


async def test_a_script_sends_the_token_as_a_header() -> None:
    async with browser(token=TOKEN) as script:
        answer = await script.get("/", headers={"authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 200


async def test_a_forged_or_old_session_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with browser(token=TOKEN) as person:
        await person.get(f"/?token={TOKEN}")
        session = person.cookies["session-0"]
        later = f"9{session[1:]}"
        person.cookies.clear()
        for forged in (later, "", ".", "1.", f"{session}x", "٣.x", "9" * 400):
            answer = await person.get("/", headers=[(b"cookie", f"session-0={forged}".encode())])
            assert answer.status_code == 401
        mine = {"cookie": f"session-0={session}"}
        assert (await person.get("/", headers=mine)).status_code == 200
        monkeypatch.setattr("jetmesh.web.login.time.time", lambda: float(10**10))
        assert (await person.get("/", headers=mine)).status_code == 401
    async with browser(token=TOKEN[::-1]) as other:
        assert (await other.get("/", headers=mine)).status_code == 401


async def test_a_token_cannot_be_tried_without_end() -> None:
    async with browser(token=TOKEN) as stranger:
        for _ in range(10):
            await stranger.post("/login", data={"token": "guess"})
        answer = await stranger.post("/login", data={"token": TOKEN})
        assert answer.status_code == 401
        assert "too many attempts" in answer.text


async def test_only_a_trusted_proxy_says_who_somebody_is() -> None:
    header = {"x-forwarded-email": "person@example.test"}
    given = HttpSettings(host="0.0.0.0", trusted_proxies=("10.1.0.0/16",))  # noqa: S104 - it binds nothing
    login = {"identity_header": "X-Forwarded-Email"}
    async with browser(client="10.1.2.3", http=given, **login) as behind:
        assert (await behind.get("/", headers=header)).status_code == 200
        assert (await behind.get("/")).status_code == 401
        assert (await behind.get("/", headers={"x-forwarded-email": ""})).status_code == 401
    async with browser(client="192.0.2.9", http=given, **login) as stranger:
        assert (await stranger.get("/", headers=header)).status_code == 401
        claimed = header | {"x-forwarded-for": "10.1.2.3"}
        assert (await stranger.get("/", headers=claimed)).status_code == 401


async def test_behind_https_the_session_never_travels_in_clear() -> None:
    given = HttpSettings(host="0.0.0.0", trusted_proxies=("10.1.2.3",))  # noqa: S104 - it binds nothing
    async with browser(client="10.1.2.3", http=given, token=TOKEN) as person:
        answer = await person.get(f"/?token={TOKEN}", headers={"x-forwarded-proto": "https"})
        assert "Secure" in answer.headers["set-cookie"]


async def test_an_open_page_asks_nobody() -> None:
    async with browser(is_open=True) as person:
        assert (await person.get("/")).status_code == 200
        assert (await person.get("/?token=old")).headers["location"] == "/"


def test_a_token_that_can_be_guessed_is_refused() -> None:
    with pytest.raises(ValueError, match="16 characters"):
        Login(Pages(Path("nowhere")), token="short")  # noqa: S106 - opens nothing
