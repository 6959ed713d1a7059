"""The pages of the contracts in a real browser: served, from a folder, on a phone, in the dark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from starlette.routing import Mount

from jetmesh import derive
from jetmesh.operate.catalog.place import contents, keep
from jetmesh.operate.catalog.program.main import app
from shop.system import system
from tests.browser.conftest import FONTS, Site, overflow

PAGES = ["index.html", "orders.rejected.html", "purchases.created.html"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop's, as `jetmesh contracts` writes them."""
    state = tmp_path_factory.mktemp("pages")
    keep(contents(system, derive(system.load()), state, state / "contracts"), state)
    return state / "contracts"


def test_one_goes_from_the_graph_to_an_event_and_on_to_its_reader(
    page: Page, site: Callable[..., Site], folder: Path
) -> None:
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto(site([Mount("/", app(str(folder)))]).url)
    page.locator("svg a", has_text="orders.validated").click()
    expect(page.get_by_role("heading", name="OrderValidated")).to_be_visible()
    token = page.get_by_role("row").filter(has_text="payment_token")
    expect(token).to_contain_text("sensitive")
    expect(page.locator("pre")).to_contain_text('"purchase_id": "p-1"')
    page.get_by_role("list", name="Reads it").get_by_role("link", name="payments").click()
    expect(page.locator("li:target")).to_contain_text("Charges validated orders")
    page.locator("li:target").get_by_role("link", name="AsyncAPI").click()
    expect(page.locator("body")).to_contain_text("asyncapi: 3.0.0")
    assert refused == [], "the policy refuses something that the page needs"


def test_a_folder_without_a_server_shows_the_same(page: Page, folder: Path) -> None:
    page.goto((folder / "index.html").as_uri())
    page.locator(".list").get_by_role("link", name="payments.captured").first.click()
    expect(page.get_by_role("heading", name="PaymentCaptured")).to_be_visible()
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(245, 246, 248)"
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(ground) == "rgb(13, 16, 21)"


@pytest.mark.parametrize("font", FONTS.values(), ids=FONTS)
@pytest.mark.parametrize("name", PAGES)
def test_a_phone_shows_it_without_scrolling_sideways(
    page: Page, folder: Path, name: str, font: str
) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto((folder / name).as_uri())
    page.add_style_tag(content=f"* {{ {font} }}")
    assert overflow(page) == 0


@pytest.mark.parametrize("font", FONTS.values(), ids=FONTS)
def test_no_name_in_the_graph_is_wider_than_its_box(page: Page, folder: Path, font: str) -> None:
    page.goto((folder / "index.html").as_uri())
    page.add_style_tag(content=f"* {{ {font} }}")
    wide = page.evaluate(
        "[...document.querySelectorAll('svg g:has(> rect)')].filter(g => "
        "g.querySelector('text').getBBox().width > g.querySelector('rect').getBBox().width)"
        ".map(g => g.textContent)"
    )
    assert wide == []
