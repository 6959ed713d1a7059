"""What the customer dashboard answers: every id is found, and no address is a trap."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette

from jetmesh import derive
from shop.customer_dashboard import address, pages, service
from shop.customer_story import Stories
from tests.unit.shop.flow import created, history

ODD_IDS = [
    "a/b",
    "../..",
    "..",
    ".",
    "/",
    "a b",
    "100%",
    "%2F",
    "ü/…",
    "<script>",
    "a?b#c",
    '"',
    "x\\",
]


@pytest.fixture
def stories() -> Stories:
    return Stories()


@pytest.fixture
async def browser(stories: Stories) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(Starlette(routes=pages(stories)))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as client:
        yield client


def test_it_is_declared_without_a_handler_and_changes_no_stream() -> None:
    assert derive([service]).durables == ()


@pytest.mark.parametrize("key", ODD_IDS)
async def test_an_order_is_found_whatever_its_id_is_made_of(
    stories: Stories, browser: httpx.AsyncClient, key: str
) -> None:
    for event, record in history(created(key)):
        stories.apply(event, record)
    page = await browser.get("/orders", params={"id": key}, follow_redirects=True)
    assert page.status_code == 200
    assert "<script>" not in page.text
    if key not in (".", ".."):
        answer = await browser.get(address(key).replace("/", "/api/", 1))
        assert answer.json()["purchase_id"] == key
        assert answer.json()["status"] == "placed"


async def test_space_that_copying_added_is_not_part_of_the_id(
    stories: Stories, browser: httpx.AsyncClient
) -> None:
    for event, record in history(created("p-1"), created(" p-2")):
        stories.apply(event, record)
    found = await browser.get("/orders", params={"id": " p-1 "})
    assert found.headers["location"] == "/orders/p-1"
    belongs = await browser.get("/orders", params={"id": " p-2"})
    assert belongs.headers["location"] == "/orders/%20p-2"


async def test_an_unknown_order_is_a_page_and_not_found(browser: httpx.AsyncClient) -> None:
    page = await browser.get("/orders/p-9")
    assert page.status_code == 404
    assert "p-9" in page.text
    answer = await browser.get("/api/orders/p-9")
    assert answer.status_code == 404
    assert answer.json()["status"] == "unknown"


async def test_searching_for_nothing_leads_back_to_the_search(browser: httpx.AsyncClient) -> None:
    assert (await browser.get("/orders", params={"id": ""})).headers["location"] == "/"
    assert (await browser.get("/live/orders")).status_code == 400
