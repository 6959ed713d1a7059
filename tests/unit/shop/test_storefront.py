"""The storefront: what a form orders, what a program may send, and what either is told."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any, cast
from urllib.parse import urlencode

import httpx
import msgspec
import pytest
from starlette.applications import Starlette

from jetmesh import BrokerError, Publisher, Publishing, Stored
from shop import storefront
from shop.order_form import OrderFormError, ordered, read
from shop.order_links import path, token_of
from shop.storefront import StorefrontSettings, pages
from shop_contracts import PurchaseCreated
from tests.unit.shop.flow import created

SECRET = "a secret of some length"  # noqa: S105 - of these tests
FORM = {
    "purchase_id": "web-1",
    "seal": token_of("web-1", SECRET, "form"),
    "tea": "2",
    "coffee": "0",
    "cup": "",
    "name": "Sample Customer",
    "email": "Customer@example.test",
    "card": "tok_ok",
}


class Till(Publishing):
    """Takes purchases, once each, as the server would."""

    def __init__(self) -> None:
        self.taken: dict[str, PurchaseCreated] = {}
        self.answers = True

    async def publish(self, event: Any, *, message_id: str = "") -> Stored:
        if not self.answers:
            await asyncio.get_running_loop().create_future()
        is_known = message_id in self.taken
        self.taken.setdefault(message_id, event)
        return Stored("PURCHASES", len(self.taken), duplicate=is_known)

    def publish_nowait(self, event: Any, *, message_id: str = "") -> asyncio.Future[Stored]:
        raise NotImplementedError


@pytest.fixture
def till() -> Till:
    return Till()


@pytest.fixture
async def browser(till: Till) -> AsyncIterator[httpx.AsyncClient]:
    settings = StorefrontSettings(customer_dashboard_url="http://orders.test/", link_secret=SECRET)
    routes = pages(cast("Publisher", till), settings)
    transport = httpx.ASGITransport(Starlette(routes=routes))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as client:
        yield client


def test_a_form_orders_what_was_chosen() -> None:
    purchase = ordered(FORM)
    assert [(item.sku, item.quantity) for item in purchase.items] == [("tea", 2)]
    assert purchase.total == Decimal("9.00")
    assert purchase.customer.id == "web:customer@example.test"
    assert purchase.placed_at is not None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tea": "0"}, "at least one"),
        ({"tea": "many"}, "in digits"),
        ({"tea": "-1"}, "in digits"),
        ({"tea": "1000"}, "in digits"),
        ({"tea": "٢"}, "in digits"),
        ({"name": " "}, "your name"),
        ({"email": "nobody"}, "e-mail"),
    ],
)
def test_a_form_that_orders_nothing_says_what_it_lacks(change: dict[str, str], said: str) -> None:
    with pytest.raises(OrderFormError, match=said):
        ordered(FORM | change)


@pytest.mark.parametrize("body", [b"\xff", urlencode([("a", "b")] * 33).encode()])
def test_what_is_no_form_cannot_be_read(body: bytes) -> None:
    with pytest.raises(OrderFormError, match="cannot be read"):
        read(body)


async def test_buying_leads_to_the_page_of_the_order(
    till: Till, browser: httpx.AsyncClient
) -> None:
    answer = await browser.post("/purchases", data=FORM)
    assert answer.status_code == 200
    assert f'href="http://orders.test{path("web-1", token_of("web-1", SECRET))}"' in answer.text
    assert till.taken["purchase:web-1"].payment_token == "tok_ok"  # noqa: S105 - a test card


async def test_a_form_sent_twice_is_one_order(till: Till, browser: httpx.AsyncClient) -> None:
    for _ in range(2):
        assert (await browser.post("/purchases", data=FORM)).status_code == 200
    assert len(till.taken) == 1


async def test_every_form_is_an_order_of_its_own(browser: httpx.AsyncClient) -> None:
    first, second = [(await browser.get("/")).text for _ in range(2)]
    assert first != second


async def test_what_is_wrong_is_said_and_what_was_filled_in_stays(
    till: Till, browser: httpx.AsyncClient
) -> None:
    answer = await browser.post("/purchases", data=FORM | {"tea": "", "name": "<b>Me</b>"})
    assert answer.status_code == 400
    assert "Choose at least one article." in answer.text
    assert 'value="&lt;b&gt;Me&lt;/b&gt;"' in answer.text
    assert 'name="purchase_id" value="web-1"' in answer.text
    assert till.taken == {}


async def test_an_order_whose_fate_is_unknown_is_said_to_be_on_its_way(
    till: Till, browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storefront, "PATIENCE", 0.01)
    till.answers = False
    answer = await browser.post("/purchases", data=FORM)
    assert answer.status_code == 202
    assert "no need to order once more" in answer.text


async def test_a_program_sends_a_purchase_as_the_contract_writes_it(
    till: Till, browser: httpx.AsyncClient
) -> None:
    body = msgspec.json.encode(created("p-1"))
    headers = {"content-type": "application/json"}
    first = await browser.post("/purchases", content=body, headers=headers)
    again = await browser.post("/purchases", content=body, headers=headers)
    assert (first.status_code, first.json()) == (201, {"purchase_id": "p-1", "duplicate": False})
    assert (again.status_code, again.json()) == (200, {"purchase_id": "p-1", "duplicate": True})
    assert len(till.taken) == 1


@pytest.mark.parametrize("body", [b"{}", b"\xff", b"[" * 70_000, b'{"purchase_id":1}'])
async def test_what_breaks_the_contract_is_refused_with_the_field(
    till: Till, browser: httpx.AsyncClient, body: bytes
) -> None:
    headers = {"content-type": "application/json"}
    answer = await browser.post("/purchases", content=body, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["error"]
    assert till.taken == {}


async def test_what_the_broker_refuses_for_good_is_said(
    till: Till, browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: Any, **__: Any) -> Stored:
        raise BrokerError("it is too large.")

    monkeypatch.setattr(till, "publish", refuse)
    assert (await browser.post("/purchases", data=FORM)).status_code == 400


async def test_nobody_gets_the_link_of_an_order_by_naming_it(
    till: Till, browser: httpx.AsyncClient
) -> None:
    for change in ({"purchase_id": "p-1"}, {"seal": ""}, {"seal": token_of("web-1", SECRET)}):
        answer = await browser.post("/purchases", data=FORM | change)
        assert answer.status_code == 400
        assert "/orders/" not in answer.text
        assert 'value="p-1"' not in answer.text
    assert till.taken == {}


async def test_the_form_of_the_page_can_be_sent(till: Till, browser: httpx.AsyncClient) -> None:
    page = (await browser.get("/")).text
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))
    assert (await browser.post("/purchases", data=FORM | hidden)).status_code == 200
    assert till.taken.keys() == {f"purchase:{hidden['purchase_id']}"}


@pytest.mark.parametrize("foreign", [{"sec-fetch-site": "cross-site"}, {"origin": "http://x.test"}])
async def test_a_foreign_page_orders_nothing(
    till: Till, browser: httpx.AsyncClient, foreign: dict[str, str]
) -> None:
    assert (await browser.post("/purchases", data=FORM, headers=foreign)).status_code == 403
    body, kind = msgspec.json.encode(created("p-1")), {"content-type": "text/plain; json"}
    answer = await browser.post("/purchases", content=body, headers=foreign | kind)
    assert answer.status_code == 403
    assert till.taken == {}


async def test_one_address_cannot_order_without_end(till: Till) -> None:
    routes = pages(cast("Publisher", till), StorefrontSettings(purchases_per_minute=3))
    transport = httpx.ASGITransport(Starlette(routes=routes))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as program:
        headers = {"content-type": "application/json"}
        statuses = []
        for number in range(4):
            body = msgspec.json.encode(created(f"p-{number}"))
            answer = await program.post("/purchases", content=body, headers=headers)
            statuses.append(answer.status_code)
    assert statuses == [201, 201, 201, 429]
