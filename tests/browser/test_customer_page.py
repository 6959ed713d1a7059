"""The customer dashboard in a real browser: search, follow live, and nothing runs in it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec import Struct
from playwright.sync_api import Page, expect

from shop.customer_accounts import Accounts
from shop.customer_dashboard import CustomerDashboardSettings, pages
from shop.customer_orders import Orders
from shop.order_links import path, token_of
from shop_contracts import (
    Account,
    Customer,
    Item,
    Outcome,
    RejectionCode,
    Tier,
    TierReached,
)
from tests.browser.conftest import Site, overflow
from tests.unit.shop.flow import (
    ITEMS,
    Shelf,
    Stored,
    account,
    captured,
    created,
    declined,
    reached,
    rejected,
    told,
    validated,
)

EARNING = (Account, TierReached)
SECRET = "a secret of some length"  # noqa: S105 - of these tests
MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>"


class Shop:
    """Stories and their pages."""

    def __init__(self, serve: Callable[..., Site]) -> None:
        self.orders, self.accounts, self.shelf = Orders(), Accounts(), Shelf()
        self.stored = Stored()
        settings = CustomerDashboardSettings(link_secret=SECRET)
        self.site = serve(pages(self.orders, self.accounts, self.shelf, settings))

    def link(self, key: str = "p-1") -> str:
        return self.site.url + path(key, token_of(key, SECRET))

    def happens(self, *events: Struct) -> None:
        for event in events:
            stored = self.stored(event)
            self.shelf.records.append(stored)
            model = self.accounts if isinstance(event, EARNING) else self.orders
            self.site.call(model.apply, *stored)


def headline(page: Page, text: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(text)


def test_an_order_is_searched_and_its_story_followed_live(
    page: Page, site: Callable[..., Site]
) -> None:
    shop = Shop(site)
    shop.happens(created())
    page.goto(shop.site.url)
    page.get_by_label("Order number").fill("p-1")
    page.get_by_label("E-mail address").fill("customer@example.test")
    page.get_by_role("button", name="Find").click()
    headline(page, "We are checking your order")
    expect(page).to_have_url(shop.link())
    page.evaluate("window.same = true")

    shop.happens(validated())
    headline(page, "We are taking your payment")
    shop.happens(captured())
    headline(page, "Your order is paid")
    shop.happens(told())
    expect(page.locator("#steps li.done")).to_have_count(4)
    expect(page.locator("#steps")).to_contain_text("c•••@example.test")
    expect(page.locator("#summary")).to_contain_text("9.00 EUR")
    assert page.evaluate("window.same"), "the page was loaded again"


def test_an_unknown_order_turns_live_when_it_arrives(page: Page, site: Callable[..., Site]) -> None:
    shop = Shop(site)
    page.goto(shop.link())
    headline(page, "We do not know this order yet")
    shop.happens(created())
    headline(page, "We are checking your order")
    expect(page.locator("#unknown")).to_be_hidden()


@pytest.mark.parametrize("key", ["a/b", "..", "../p", "a b", "<b>x</b>", "ü/…?#%2F"])
def test_any_id_is_found_and_followed(page: Page, site: Callable[..., Site], key: str) -> None:
    shop = Shop(site)
    shop.happens(created(key))
    page.goto(shop.site.url)
    page.get_by_label("Order number").fill(key)
    page.get_by_label("E-mail address").fill("customer@example.test")
    page.keyboard.press("Enter")
    expect(page.locator("bdi")).to_have_text(key)
    headline(page, "We are checking your order")
    shop.happens(captured(key))
    headline(page, "Your order is paid")
    page.reload()
    headline(page, "Your order is paid")


def test_markup_is_shown_as_text_and_never_run(page: Page, site: Callable[..., Site]) -> None:
    """The page fixture fails the test if a script runs or a dialog opens."""
    shop = Shop(site)
    item = Item(sku=MARKUP, quantity=1, unit_price=ITEMS[0].unit_price)
    customer = Customer(id=MARKUP, name=MARKUP, email=f"c@{MARKUP}")
    code = RejectionCode.TOTAL_MISMATCH
    shop.happens(created(MARKUP, items=(item,), customer=customer, currency="<b>"))
    shop.happens(rejected(MARKUP, code, message=MARKUP), told(MARKUP, Outcome.REJECTED))
    page.goto(shop.link(MARKUP))
    headline(page, "We could not accept your order")
    expect(page.locator("#steps")).to_contain_text(MARKUP)
    expect(page.locator("#lines")).to_contain_text(MARKUP)
    expect(page.locator("#name")).to_contain_text(MARKUP)
    assert page.locator("main img, main b, main script").count() == 0


def test_a_declined_payment_says_why_and_what_to_do(page: Page, site: Callable[..., Site]) -> None:
    shop = Shop(site)
    shop.happens(created(), validated(), declined())
    page.goto(shop.link())
    failed = page.locator("#steps li.failed")
    expect(failed).to_contain_text("The card has expired.")
    expect(failed).to_contain_text("Nothing was charged.")
    expect(failed).to_contain_text("a card that is still valid")


def test_points_and_a_tier_appear_once_the_order_is_paid(
    page: Page, site: Callable[..., Site]
) -> None:
    shop = Shop(site)
    shop.happens(account(95), created(), validated())
    page.goto(shop.link())
    headline(page, "We are taking your payment")
    expect(page.locator("#loyalty")).to_be_hidden()
    shop.happens(captured())
    expect(page.locator("#points")).to_have_text("95 points")
    expect(page.locator("#tier")).to_be_hidden()
    shop.happens(account(104, Tier.SILVER), reached(Tier.SILVER))
    expect(page.locator("#points")).to_have_text("104 points")
    expect(page.locator("#tier")).to_have_text("Silver")
    expect(page.locator("#reached")).to_be_visible()


def test_the_page_shows_neither_token_nor_address(page: Page, site: Callable[..., Site]) -> None:
    shop = Shop(site)
    shop.happens(created(), validated(), captured(), told())
    page.goto(shop.link())
    expect(page.locator("#steps li.done")).to_have_count(4)
    assert "tok_ok" not in page.content()
    assert "customer@example.test" not in page.content()


def test_a_phone_shows_everything_without_scrolling_sideways(
    phone: Page, site: Callable[..., Site]
) -> None:
    shop = Shop(site)
    phone.goto(shop.site.url)
    headline(phone, "Where is my order?")
    assert overflow(phone) <= 0
    phone.goto(shop.link())
    headline(phone, "We do not know this order yet")
    assert overflow(phone) <= 0
    shop.happens(created(), created(), validated(), captured(amount="99999999999.99"), told())
    headline(phone, "Your order is paid")
    shop.happens(account(10**24, Tier.PLATINUM), reached(Tier.PLATINUM))
    expect(phone.locator("#tier")).to_have_text("Platinum")
    assert overflow(phone) <= 0
    long = "x" * 200
    item = Item(sku="x" * 80, quantity=10**14, unit_price=ITEMS[0].unit_price)
    shop.happens(created(long, items=(item,)), rejected(long, *RejectionCode))
    phone.goto(shop.link(long))
    headline(phone, "We could not accept your order")
    assert overflow(phone) <= 0
