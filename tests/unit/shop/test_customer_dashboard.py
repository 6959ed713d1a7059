"""What the customer dashboard answers: every id is found, and no address is a trap."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from msgspec import Struct
from starlette.applications import Starlette

from jetmesh import derive
from shop.customer_accounts import Accounts
from shop.customer_dashboard import (
    ANSWER_SECONDS,
    CustomerDashboardSettings,
    pages,
    service,
)
from shop.customer_orders import Orders
from shop.order_links import path, token_of
from shop_contracts import Account, Tier, TierReached
from tests.unit.shop.flow import (
    CUSTOMER,
    Shelf,
    account,
    captured,
    created,
    declined,
    history,
    reached,
    validated,
)

EARNING = (Account, TierReached)
SECRET = "a secret of some length"  # noqa: S105 - of these tests
BEFORE = "the one before it was"
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


def opening(key: str) -> str:
    return token_of(key, SECRET)


class Shop:
    """Orders, where they are stored, and the pages about them."""

    def __init__(self) -> None:
        self.orders, self.accounts, self.shelf = Orders(), Accounts(), Shelf()
        settings = CustomerDashboardSettings(link_secret=SECRET, previous_link_secret=BEFORE)
        routes = pages(self.orders, self.accounts, self.shelf, settings)
        transport = httpx.ASGITransport(Starlette(routes=routes))
        self.browser = httpx.AsyncClient(transport=transport, base_url="http://shop.test")

    def happens(self, *events: Struct) -> None:
        for event, record in history(*events):
            self.shelf.records.append((event, record))
            model = self.accounts if isinstance(event, EARNING) else self.orders
            model.apply(event, record)

    async def find(self, key: str, email: str) -> httpx.Response:
        return await self.browser.post("/orders", data={"id": key, "email": email})


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    made = Shop()
    async with made.browser:
        yield made


def test_it_is_declared_without_a_handler_and_changes_no_stream() -> None:
    assert derive([service]).durables == ()


@pytest.mark.parametrize("key", ODD_IDS)
async def test_an_order_is_found_whatever_its_id_is_made_of(shop: Shop, key: str) -> None:
    shop.happens(created(key))
    found = await shop.find(key, "customer@example.test")
    assert found.status_code == 303
    page = await shop.browser.get(found.headers["location"])
    assert page.status_code == 200
    assert "<script>" not in page.text
    if key not in (".", ".."):
        answer = await shop.browser.get("/api" + path(key, opening(key)))
        assert answer.json()["purchase_id"] == key
        assert answer.json()["status"] == "placed"


async def test_the_orders_own_token_opens_it(shop: Shop) -> None:
    shop.happens(created("p-1"))
    assert (await shop.browser.get(path("p-1", opening("p-1")))).status_code == 200
    before = token_of("p-1", BEFORE)
    assert (await shop.browser.get(path("p-1", before))).status_code == 200


@pytest.mark.parametrize("known", ["known", ""])
@pytest.mark.parametrize("given", ["", "?token=", "?token=wrong", "?token=OTHER"])
async def test_without_it_one_learns_not_even_whether_there_is_such_an_order(
    shop: Shop, known: str, given: str
) -> None:
    if known:
        shop.happens(created("p-1"), created("p-2"))
    given = given.replace("OTHER", opening("p-2"))
    page = await shop.browser.get(f"/orders/p-1{given}")
    assert page.status_code == 403
    assert "p-1" not in page.text.replace('placeholder="p-1"', "")
    answer = await shop.browser.get(f"/api/orders/p-1{given}")
    assert (answer.status_code, "placed" in answer.text) == (403, False)
    live = await shop.browser.get(f"/live/orders?id=p-1{given.replace('?', '&')}")
    assert live.status_code == 403
    assert shop.shelf.asked == 0, "what is stored is not even looked at"


async def test_number_and_address_must_belong_together_and_all_else_is_one_answer(
    shop: Shop,
) -> None:
    shop.happens(created("p-1"))
    answers = [
        await shop.find("p-1", "other@example.test"),
        await shop.find("p-1", ""),
        await shop.find("p-9", "customer@example.test"),
        await shop.find("p-9", ""),
        await shop.find("", ""),
    ]
    assert {(answer.status_code, answer.text) for answer in answers} == {(403, answers[0].text)}
    assert all(answer.elapsed.total_seconds() >= ANSWER_SECONDS for answer in answers)
    assert (await shop.find(" p-1 ", "Customer@Example.test")).status_code == 303


async def test_orders_cannot_be_tried_without_end(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shop.customer_dashboard.ANSWER_SECONDS", 0.0)
    shop.happens(created("p-1"))
    for number in range(30):
        await shop.find(f"p-{number}", "guess@example.test")
    assert (await shop.find("p-1", "customer@example.test")).status_code == 429


async def test_a_foreign_page_cannot_send_the_form(shop: Shop) -> None:
    form = {"id": "p-1", "email": "customer@example.test"}
    foreign = {"origin": "http://evil.test"}
    answer = await shop.browser.post("/orders", data=form, headers=foreign)
    assert answer.status_code == 403


async def test_an_order_that_is_on_its_way_is_waited_for(shop: Shop) -> None:
    assert (await shop.browser.get(path("p-9", opening("p-9")))).status_code == 200
    answer = await shop.browser.get("/api" + path("p-9", opening("p-9")))
    assert answer.status_code == 404
    assert answer.json()["status"] == "unknown"


async def told(shop: Shop, key: str = "p-1") -> dict[str, Any]:
    answer = await shop.browser.get("/api" + path(key, opening(key)))
    found: dict[str, Any] = answer.json()
    return found


async def test_who_paid_an_order_sees_the_points_of_its_customer_and_the_tier_it_brought(
    shop: Shop,
) -> None:
    shop.happens(created(), validated(), captured(amount="560.00"))
    assert (await told(shop))["loyalty"] is None, "loyalty has not come to it yet"
    shop.happens(account(1560, Tier.GOLD), reached(Tier.GOLD))
    assert (await told(shop))["loyalty"] == {
        "points": "1,560 points",
        "tier": "Gold",
        "is_new": True,
    }


async def test_who_ordered_in_somebodys_name_and_did_not_pay_learns_no_points(shop: Shop) -> None:
    shop.happens(account(1560, Tier.GOLD), created(), validated())
    assert (await told(shop))["loyalty"] is None
    shop.happens(declined())
    assert (await told(shop))["loyalty"] is None


async def test_an_account_that_had_to_make_room_is_read_when_somebody_looks(shop: Shop) -> None:
    shop.happens(created(), captured())
    [stored] = history(account(1))
    keyed = replace(stored[1], subject=f"states.loyalty.accounts.{CUSTOMER.account}")
    shop.shelf.records.append((stored[0], keyed))
    assert (await told(shop))["loyalty"] == {"points": "1 point", "tier": "", "is_new": False}
    shop.accounts.apply(*stored)
    shop.accounts.drop(CUSTOMER.account)
    assert (await told(shop))["loyalty"]["points"] == "1 point"


async def test_what_comes_again_in_another_order_changes_no_account(shop: Shop) -> None:
    shop.happens(created(), captured(amount="560.00"))
    events = history(account(95), account(560, Tier.GOLD), reached(Tier.GOLD))
    for event, record in (*events, *reversed(events)):
        shop.accounts.apply(event, record)
    assert (await told(shop))["loyalty"]["points"] == "560 points"
