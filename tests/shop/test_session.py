"""What a person does: type a purchase, see it counted, told, mailed and traced."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from shop_contracts import Customer
from tests.shop.conftest import Up
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(300)  # one of them starts the shop
GOOD = {
    "purchase_id": "p-1",
    "customer": {"id": "c-1", "name": "Sample Customer", "email": "customer@example.test"},
    "items": [{"sku": "tea", "quantity": 2, "unit_price": "4.50"}],
    "total": "9.00",
    "currency": "EUR",
    "payment_token": "tok_ok",
}


def mails(shop: Up) -> list[dict[str, Any]]:
    return list(shop.get("sandbox-mail", "/mails.json"))


def mail_about(shop: Up, text: str) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        return next((m for m in mails(shop) if text in m["subject"] + m["text"]), None)

    return dict(wait_until(found, within=30, what=lambda: str(mails(shop))))


def test_a_purchase_typed_into_the_nats_cli_is_validated_paid_told_and_shown(shop: Up) -> None:
    shop.nats("pub", "purchases.created", json.dumps(GOOD))
    mail = mail_about(shop, "p-1")
    assert mail["to"] == "customer@example.test"
    assert "tea" in mail["text"]
    wait_until(
        lambda: shop.get("business-dashboard", "/api/board")["purchases"]["captured"] >= 1,
        within=30,
    )
    traced = shop.jetmesh("trace", "p-1")
    assert traced.returncode == 0, traced.stderr
    for word in ("purchases.created", "orders.validated", "payments.captured", "notifications"):
        assert word in traced.stdout
    assert "customer@example.test" not in traced.stdout
    assert "tok_ok" not in traced.stdout


def test_a_customers_purchases_are_points_on_their_pages_and_a_tier_is_told_once(shop: Up) -> None:
    customer = {"id": "c-points", "name": "Loyal Customer", "email": "loyal@example.test"}
    for number in range(3):
        purchase = {**GOOD, "purchase_id": f"p-points-{number}", "customer": customer}
        purchase |= {"items": [{"sku": "tea", "quantity": 9, "unit_price": "4.50"}]}
        shop.nats("pub", "purchases.created", json.dumps(purchase | {"total": "40.50"}))
    pages = [mail_about(shop, f"p-points-{number}") for number in range(3)]
    links = [re.findall(r"/orders/\S+", mail["text"])[0] for mail in pages]

    def earned() -> list[dict[str, Any]]:
        return [shop.get("customer-dashboard", f"/api{link}")["loyalty"] or {} for link in links]

    wait_until(
        lambda: (
            [each.get("points") for each in earned()] == ["120 points"] * 3
            and sum(each["is_new"] for each in earned()) == 1
        ),
        within=30,
        what=lambda: str(earned()),
    )
    assert [each["tier"] for each in earned()] == ["Silver"] * 3
    account = Customer(**customer).account
    told = shop.nats("stream", "info", "TIERS", "--json")
    assert json.loads(told.stdout)["state"]["messages"] == 1
    shown = shop.jetmesh("state", "get", "loyalty.accounts", account)
    assert '"points":120' in shown.stdout, shown.stderr
    assert "loyal@example.test" not in shown.stdout
    of_purchase = shop.jetmesh("trace", "p-points-0")
    assert f"loyalty.award took it into loyalty.accounts of {account}" in of_purchase.stdout
    traced = shop.jetmesh("trace", account)
    assert "states.loyalty.accounts" in traced.stdout
    assert "tiers.reached" in traced.stdout


def test_three_purchases_of_the_start_screen_end_as_it_says(shop: Up) -> None:
    examples = Path("examples/purchases")
    for name, text in (("good", "p-good-1"), ("invalid", "p-invalid-1"), ("declined", "p-dec")):
        done = shop.jetmesh("publish", "purchases.created", str(examples / f"{name}.json"))
        assert done.returncode == 0, done.stderr
        assert "PURCHASES" in done.stdout
        mail_about(shop, text)
    board = shop.get("business-dashboard", "/api/board")["purchases"]
    assert board["rejected"] >= 1
    assert board["declined"] >= 1


def test_the_same_id_with_other_content_has_one_mail_and_the_second_is_visible(shop: Up) -> None:
    first = {**GOOD, "purchase_id": "p-twice"}
    second = {**first, "total": "10.00"}
    for purchase in (first, first, second):
        shop.nats("pub", "purchases.created", json.dumps(purchase))
    mail_about(shop, "p-twice")

    def refused() -> bool:
        return shop.jetmesh("trace", "p-twice").stdout.count("was refused") == 2

    wait_until(refused, within=60, what=lambda: shop.jetmesh("trace", "p-twice").stdout)
    assert sum("p-twice" in m["subject"] + m["text"] for m in mails(shop)) == 1


def test_an_unpublishable_purchase_is_refused_with_the_field(shop: Up) -> None:
    wrong = shop.jetmesh("publish", "purchases.created", "-", stdin='{"purchase_id": 5}')
    assert wrong.returncode != 0
    assert "$.purchase_id" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_garbage_is_dead_lettered_and_others_flow_on(shop: Up) -> None:
    shop.nats("pub", "purchases.created", "no json at all")
    shop.nats("pub", "purchases.created", json.dumps({**GOOD, "purchase_id": "p-after"}))
    mail_about(shop, "p-after")
    info = shop.nats("stream", "info", "DEADLETTERS", "--json")
    assert json.loads(info.stdout)["state"]["messages"] >= 1


def test_the_nats_cli_lists_every_service_with_its_handlers(shop: Up) -> None:
    listed = shop.nats("micro", "ls").stdout
    for name in ("order-validation", "payments", "notifications", "business-dashboard"):
        assert name in listed
    assert "charge" in shop.nats("micro", "info", "payments").stdout
    assert "charge" in shop.nats("micro", "stats", "payments").stdout


def test_markup_and_escapes_are_shown_as_text(shop: Up) -> None:
    nasty = "<script>alert(1)</script>\x1b[31m"
    purchase = {
        **GOOD,
        "purchase_id": "p/<b>.x y",
        "customer": {**GOOD["customer"], "name": nasty},  # type: ignore[dict-item]  # a dict
    }
    shop.nats("pub", "purchases.created", json.dumps(purchase))
    mail = mail_about(shop, "p/<b>.x y")
    assert "\x1b" not in mail["text"] + mail["subject"]
    traced = shop.jetmesh("trace", "p/<b>.x y")
    assert traced.returncode == 0
    assert "\x1b[31m" not in traced.stdout


@pytest.mark.parametrize("service", ["order-validation", "payments", "notifications", "loyalty"])
def test_what_the_shop_did_is_rehearsed_with_its_doubles(shop: Up, service: str) -> None:
    done = shop.jetmesh("rehearse", service)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert "differ" not in done.stdout
    counts = [line.split()[1] for line in done.stdout.splitlines() if " the same" in line]
    assert sum(map(int, counts)) >= 4
    assert len(mails(shop)) == len({mail["message_id"] for mail in mails(shop)})


def test_logs_hold_no_address_and_no_token(shop: Up) -> None:
    text = shop.log.read_text()
    assert "started" in text
    assert "@example.test" not in text
    assert "tok_" not in text


def test_the_form_to_log_in_has_the_colours_of_the_shop(shop: Up) -> None:
    url = shop.state()["services"]["business-dashboard"]["url"]
    with urllib.request.urlopen(f"{url}/static/login.css", timeout=10) as answer:  # noqa: S310 - loopback only
        assert b"/static/shop.css" in answer.read()
