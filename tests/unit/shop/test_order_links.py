"""An order's link opens this order, and no other."""

from __future__ import annotations

import pytest
from msgspec import ValidationError, convert

from shop.business_dashboard import BusinessDashboardSettings
from shop.customer_dashboard import CustomerDashboardSettings
from shop.notifications import NotificationsSettings
from shop.order_links import LinkSettings, opens, path, token_of
from shop.storefront import StorefrontSettings

SECRET = "a secret of some length"  # noqa: S105 - of these tests


def test_a_token_opens_its_own_order_alone() -> None:
    token = token_of("p-1", SECRET)
    assert opens("p-1", token, SECRET)
    for key, given in (("p-2", token), ("p-1", ""), ("p-1", token[:-1]), ("p-1", "ü")):
        assert not opens(key, given, SECRET)
    assert not opens("p-1", token_of("p-1", SECRET, "form"), SECRET)


def test_a_link_outlives_one_change_of_the_secret_and_not_two() -> None:
    token = token_of("p-1", SECRET)
    assert opens("p-1", token, "the next secret", SECRET)
    assert not opens("p-1", token, "one more secret", "the next secret")


def test_no_secret_opens_nothing() -> None:
    assert not opens("p-1", token_of("p-1", ""), "", "")


def test_all_services_make_the_same_link() -> None:
    given = {"customer_dashboard_url": "https://orders.test/", "link_secret": SECRET}
    kinds: tuple[type[LinkSettings], ...] = (
        BusinessDashboardSettings,
        NotificationsSettings,
        StorefrontSettings,
    )
    links = {convert(given, kind).link("p 1") for kind in kinds}
    assert links == {f"https://orders.test/orders/p%201?token={token_of('p 1', SECRET)}"}


def test_without_a_page_there_is_no_link_and_without_a_secret_no_token() -> None:
    assert LinkSettings(link_secret=SECRET).link("p-1") == ""
    assert LinkSettings(customer_dashboard_url="http://o").link("p-1") == "http://o/orders/p-1"


@pytest.mark.parametrize("key", [".", ".."])
def test_what_a_browser_takes_for_a_step_is_no_part_of_the_path(key: str) -> None:
    assert path(key, "t") == f"/orders?id={key}&token=t"


def test_a_secret_that_can_be_guessed_is_refused_and_none_is_printed() -> None:
    with pytest.raises(ValidationError, match="16 characters"):
        convert({"link_secret": "short"}, CustomerDashboardSettings)
