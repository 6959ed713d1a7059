"""What the business dashboard answers: its page, the files of the page, and JSON for scripts."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from msgspec import ValidationError, convert
from starlette.applications import Starlette

from jetmesh import derive
from shop.business_board import Board
from shop.business_dashboard import BusinessDashboardSettings, pages, service
from tests.unit.shop.flow import created, history


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture
async def browser(board: Board) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=pages(board, BusinessDashboardSettings(open=True)))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as client:
        yield client


def test_it_is_declared_without_a_handler_and_changes_no_stream() -> None:
    assert derive([service]).durables == ()


@pytest.mark.parametrize("url", ["javascript:alert(1)", "orders.test", "http://a b"])
def test_the_address_of_the_orders_must_be_one_of_the_web(url: str) -> None:
    with pytest.raises(ValidationError):
        convert({"customer_dashboard_url": url}, BusinessDashboardSettings)


async def test_the_page_runs_nothing_but_its_own_files(browser: httpx.AsyncClient) -> None:
    page = await browser.get("/")
    assert page.status_code == 200
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "<script>" not in page.text
    assert "style=" not in page.text


@pytest.mark.parametrize("name", ["shop.css", "business.js", "page.js", "chart.js", "icon.svg"])
async def test_every_file_of_the_page_is_served_with_its_type(
    browser: httpx.AsyncClient, name: str
) -> None:
    file = await browser.get(f"/static/{name}")
    assert file.status_code == 200
    kind = file.headers["content-type"].partition(";")[0]
    assert kind in ("text/css", "text/javascript", "image/svg+xml")


async def test_a_file_outside_is_not_served(browser: httpx.AsyncClient) -> None:
    assert (await browser.get("/static/..%2Fpage.py")).status_code == 404
    assert (await browser.get("/static/page.py")).status_code == 404


async def test_a_script_reads_the_board_as_json(board: Board, browser: httpx.AsyncClient) -> None:
    for event, record in history(created()):
        board.apply(event, record)
    answer = await browser.get("/api/board")
    assert answer.json()["purchases"]["total"] == 1
    assert answer.headers["content-type"] == "application/json"
