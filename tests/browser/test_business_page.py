"""The business dashboard in a real browser: live, without reload, and nothing runs in it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from msgspec import Struct
from playwright.sync_api import Page, expect

from shop.business_board import Board
from shop.business_dashboard import BusinessDashboardSettings, pages
from shop_contracts import DeclineReason, RejectionCode
from tests.browser.conftest import Site, overflow
from tests.unit.shop.flow import Stored, captured, created, declined, rejected, told, validated

MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>"


class Shop:
    """A board and its page."""

    def __init__(self, serve: Callable[..., Site], orders: str = "") -> None:
        self.board = Board()
        self.stored = Stored()
        self.routes = pages(
            self.board, BusinessDashboardSettings(customer_dashboard_url=orders, open=True)
        )
        self.site = serve(self.routes)

    def happens(self, *events: Struct) -> None:
        for event in events:
            self.site.call(self.board.apply, *self.stored(event))


def test_an_empty_shop_says_what_to_try(page: Page, site: Callable[..., Site]) -> None:
    page.goto(Shop(site).site.url)
    expect(page.get_by_role("heading", name="No purchase yet")).to_be_visible()
    expect(page.get_by_text("nats pub purchases.created")).to_be_visible()
    expect(page.get_by_role("status")).to_have_text("Live")


def test_it_leads_to_the_contracts_where_somebody_shows_them(
    page: Page, site: Callable[..., Site]
) -> None:
    page.goto(Shop(site).site.url)
    expect(page.get_by_role("link", name="Contracts")).to_have_count(0)
    settings = BusinessDashboardSettings(contracts_url="http://127.0.0.1:8070", open=True)
    page.goto(site(pages(Board(), settings)).url)
    link = page.get_by_role("link", name="Contracts")
    expect(link).to_have_attribute("href", "http://127.0.0.1:8070")


def test_what_happens_is_seen_without_reload(page: Page, site: Callable[..., Site]) -> None:
    shop = Shop(site)
    page.goto(shop.site.url)
    expect(page.get_by_role("heading", name="No purchase yet")).to_be_visible()
    page.evaluate("window.same = true")

    shop.happens(*(created(f"p-{n}") for n in range(4)))
    expect(page.locator("[data-count=in_progress]")).to_have_text("4")

    mismatch = RejectionCode.TOTAL_MISMATCH
    shop.happens(validated("p-0"), captured("p-0", "1234.50"), told("p-0"))
    shop.happens(rejected("p-1", mismatch), declined("p-2", DeclineReason.EXPIRED_CARD))
    expect(page.locator("[data-count=captured]")).to_have_text("1")
    expect(page.locator("[data-rate=captured]")).to_have_text("25%")
    expect(page.locator("#revenue")).to_contain_text("1,234.50")
    expect(page.locator("#rejections")).to_contain_text("Total mismatch")
    expect(page.locator("#declines")).to_contain_text("Expired card")
    expect(page.locator("#newest tr")).to_have_count(4)
    expect(page.locator("#newest tr", has_text="p-0")).to_contain_text("Captured")
    assert page.evaluate("window.same"), "the page was loaded again"


def test_a_repeated_purchase_is_counted_once_and_marked(
    page: Page, site: Callable[..., Site]
) -> None:
    shop = Shop(site)
    shop.happens(created(), created())
    page.goto(shop.site.url)
    expect(page.locator("#newest tr")).to_contain_text("sent 2 times")
    expect(page.locator("#since")).to_have_text("1 purchase")


def test_markup_is_shown_as_text_and_never_run(page: Page, site: Callable[..., Site]) -> None:
    """The page fixture fails the test if a script runs or a dialog opens."""
    shop = Shop(site)
    shop.happens(created(MARKUP, currency="<b>€"), captured("p-2", "1", "<b>€"))
    page.goto(shop.site.url)
    expect(page.locator("#newest .id")).to_have_text(MARKUP)
    expect(page.locator("#revenue")).to_contain_text("<b>€")
    assert page.locator("main img, main b, main script").count() == 0


def test_absurd_amounts_leave_the_page_whole(page: Page, site: Callable[..., Site]) -> None:
    shop = Shop(site)
    shop.happens(created("p-1", total=Decimal("NaN")), created("p-2", total=Decimal("1E+999999")))
    shop.happens(captured("p-3", "NaN"), created("p-4"))
    page.goto(shop.site.url)
    expect(page.locator("#newest tr", has_text="p-2")).to_contain_text("no sum of EUR")
    expect(page.locator("#uncounted")).to_be_visible()


def test_an_id_leads_to_its_order(page: Page, site: Callable[..., Site]) -> None:
    shop = Shop(site, "http://orders.test/")
    shop.happens(created("a/b c"))
    page.goto(shop.site.url)
    link = page.get_by_role("link", name="a/b c")
    expect(link).to_have_attribute("href", "/orders?id=a%2Fb%20c")


def test_the_chart_shows_the_time_that_is_chosen(page: Page, site: Callable[..., Site]) -> None:
    shop = Shop(site)
    shop.happens(*(created(f"p-{n}") for n in range(3)))
    page.goto(shop.site.url)
    page.get_by_role("button", name="All").click()
    expect(page.get_by_role("button", name="All")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#chart rect.in_progress")).to_have_count(1)
    expect(page.get_by_role("img", name="3 purchases in all")).to_be_visible()


def test_a_page_finds_its_server_again(page: Page, site: Callable[..., Site]) -> None:
    shop = Shop(site)
    shop.happens(created("p-1"))
    page.goto(shop.site.url)
    expect(page.locator("#newest tr")).to_have_count(1)
    port = shop.site.port

    shop.site.stop()
    expect(page.get_by_role("status")).to_have_text("Reconnecting…")

    shop.site = site(shop.routes, port)
    shop.happens(created("p-2"))
    expect(page.locator("#newest tr")).to_have_count(2)
    expect(page.get_by_role("status")).to_have_text("Live")


def test_a_closed_page_gives_its_stream_back(page: Page, site: Callable[..., Site]) -> None:
    shop = Shop(site)
    page.goto(shop.site.url)
    expect(page.get_by_role("status")).to_have_text("Live")
    page.goto("about:blank")
    shop.site.wait_until_idle()


def test_a_phone_shows_everything_without_scrolling_sideways(
    phone: Page, site: Callable[..., Site]
) -> None:
    shop = Shop(site)
    phone.goto(shop.site.url)
    expect(phone.get_by_role("heading", name="No purchase yet")).to_be_visible()
    assert overflow(phone) <= 0
    long = "x" * 200
    keys = [long, "p-1", "p-2", "p-3", *DeclineReason]
    shop.happens(*map(created, keys), created("p-1"), captured(long, "99999999999.99"))
    shop.happens(captured("p-2", "9", long), rejected("p-3", *RejectionCode))
    shop.happens(*(declined(reason, reason) for reason in DeclineReason))
    expect(phone.locator("#newest tr")).to_have_count(len(keys))
    assert overflow(phone) <= 0
