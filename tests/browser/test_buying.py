"""A purchase made in a real browser ends in its mail, and on its own page."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import overflow
from tests.shop.conftest import Up, running
from tests.shop.test_session import mail_about

pytestmark = pytest.mark.timeout(300)  # one of them starts the shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with running(tmp_path_factory.mktemp("shop")) as up:
        yield up


def fill(page: Page, shop: Up, name: str) -> None:
    page.goto(shop.state()["services"]["storefront"]["url"])
    page.get_by_label("Your name").fill(name)
    page.get_by_label("E-mail").fill("customer@example.test")


def buy(page: Page) -> None:
    page.get_by_role("button", name="Buy").click()
    page.get_by_role("link", name="Follow it here").click()


def test_a_purchase_ends_in_its_mail_and_on_its_page(shop: Up, page: Page) -> None:
    fill(page, shop, "Browsing Customer")
    page.get_by_label("How many: A cup").fill("2")
    buy(page)
    expect(page.get_by_role("heading", level=1)).to_contain_text("paid")
    mail = mail_about(shop, "Browsing Customer")
    assert mail["to"] == "customer@example.test"
    assert "28.50" in mail["text"]  # 4.50, and twice 12.00


def test_a_declined_card_is_told_on_the_page_and_by_mail(shop: Up, page: Page) -> None:
    fill(page, shop, "Poor Customer")
    page.get_by_label("Pay with").select_option("A card without money")
    buy(page)
    expect(page.get_by_role("heading", level=1)).to_contain_text("declined")
    mail_about(shop, "Poor Customer")


def test_the_link_in_the_mail_opens_the_order_and_its_number_alone_does_not(
    shop: Up, page: Page
) -> None:
    fill(page, shop, "Linked Customer")
    buy(page)
    expect(page.get_by_role("heading", level=1)).to_contain_text("paid")
    text = mail_about(shop, "Linked Customer")["text"]
    [link] = re.findall(r"http://127\.0\.0\.1:\S+/orders/\S+", text)
    page.context.clear_cookies()
    page.goto(link)
    expect(page.get_by_role("heading", level=1)).to_contain_text("paid")
    page.goto(link.partition("?")[0])
    expect(page.get_by_role("heading", level=1)).to_have_text("Where is my order?")


def test_the_link_on_the_screen_lets_in_and_nothing_else_does(shop: Up, page: Page) -> None:
    url = shop.state()["services"]["business-dashboard"]["url"]
    page.goto(url)
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    page.get_by_label("Token").fill("not this one, surely")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("wrong")
    [link] = re.findall(rf"{url}/\?token=\S+", shop.log.read_text())
    page.goto(link)
    expect(page.get_by_role("heading", name="Outcomes")).to_be_visible()
    expect(page).to_have_url(f"{url}/")
    with page.expect_navigation(url=re.compile(r"/orders/\S+\?token=")):
        page.locator("#newest a").first.click()
    expect(page.locator("#order")).to_be_visible()


def test_an_empty_order_says_what_it_lacks_and_keeps_what_was_typed(shop: Up, page: Page) -> None:
    fill(page, shop, "Undecided Customer")
    page.get_by_label("How many: Tea, 100 g").fill("0")
    page.get_by_role("button", name="Buy").click()
    expect(page.get_by_role("alert")).to_have_text("Choose at least one article.")
    expect(page.get_by_label("Your name")).to_have_value("Undecided Customer")


def test_the_form_is_no_wider_than_a_phone(shop: Up, phone: Page) -> None:
    fill(phone, shop, "N" * 200)
    assert overflow(phone) == 0
