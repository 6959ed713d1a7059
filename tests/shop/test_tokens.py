"""A payment token is shown by no page and no command, however it came and whatever became of it."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlencode, urljoin

import msgspec
import pytest
from typer.main import get_command

from jetmesh.cli.app import app
from tests.shop.conftest import Up
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(300)  # one of them starts the shop
TOKEN = "tok_entrusted_5f1c9e"  # noqa: S105 - what must not be found
GOOD = {
    "purchase_id": "p-token",
    "customer": {"id": "c-1", "name": "Sample Customer", "email": "customer@example.test"},
    "items": [{"sku": "tea", "quantity": 2, "unit_price": "4.50"}],
    "total": "9.00",
    "currency": "EUR",
    "payment_token": TOKEN,
}
WRONG = {**GOOD, "purchase_id": "p-wrong", "items": TOKEN, "currency": [TOKEN]}
LETTERS = (
    json.dumps(WRONG),
    json.dumps(WRONG)[:-9],  # no JSON at all
    json.dumps({"data": json.dumps(WRONG)}),
    json.dumps([WRONG]),
    urlencode({**GOOD, "items": "tea"}),
    f"payment_token is {TOKEN}",
    msgspec.msgpack.encode({**GOOD, "items": TOKEN}),
)
TO_LOOK_WITH = (
    ("can-deploy",),
    ("can-deploy", "--json"),
    ("doctor",),
    ("doctor", "--json"),
    ("heal",),
    ("audit", "ls"),
    ("state", "ls"),
    ("state", "ls", "loyalty.accounts"),
    ("state", "get", "loyalty.accounts", "c-1"),
    ("state", "history", "loyalty.accounts", "c-1"),
    ("state", "get", "fulfilment.orders", "p-token"),
    ("process", "ls", "--json"),
    ("process", "show", "p-token"),
    ("schedule", "ls", "--json"),
    ("audit", "ls", "--json"),
    ("logs",),
    ("logs", "--json"),
    ("plan",),
    ("settings",),
    ("topology",),
    ("rehearse", "order-validation"),
    ("rehearse", "payments", "--json"),
    ("rehearse", "notifications"),
    *(("trace", key, *more) for key in ("p-token", "p-wrong") for more in ((), ("--json",))),
    ("deadletters", "ls"),
    ("deadletters", "ls", "--json"),
    ("deadletters", "ls", "--letters", "--all"),
    ("deadletters", "ls", "--letters", "--json"),
    ("deadletters", "replay", "--all", "--dry-run"),
    ("deadletters", "replay", "--all", "--rehearse"),
    ("publish", "purchases.created", "-"),
)
NOT_TO_LOOK_WITH = {
    *("init", "new", "up", "run", "down", "clean", "apply", "contracts", "deploy"),
}
"""They start, stop or write what knows no events."""
PATHS = (
    *("", "metrics", "healthz", "readyz", "api/board", "charges.json", "mails.json"),
    *("orders/p-token", "api/orders/p-token"),
)
_links = re.compile(r"(?:href|src|action|data-live)=\"([^\"]+)\"")


@pytest.fixture(scope="module")
def told(shop: Up) -> Up:
    """The shop, once one purchase was declined and every letter is there."""
    shop.nats("pub", "purchases.created", json.dumps(GOOD))
    for letter in LETTERS:
        file = shop.root / "letter"
        file.write_bytes(letter if isinstance(letter, bytes) else letter.encode())
        with file.open("rb") as given:
            header = f"--header=Payment-Token:{TOKEN}"
            shop.nats("pub", "purchases.created", "--force-stdin", header, stdin=given)

    def ended() -> bool:
        stored = shop.nats("stream", "info", "DEADLETTERS", "--json").stdout
        return (
            json.loads(stored)["state"]["messages"] >= len(LETTERS)
            and "notifications.sent" in shop.jetmesh("trace", "p-token").stdout
        )

    wait_until(ended, within=60, what=lambda: shop.jetmesh("deadletters", "ls").stdout)
    return shop


def test_every_command_that_shows_events_is_tried() -> None:
    tried = {words[0] for words in TO_LOOK_WITH}
    assert tried | NOT_TO_LOOK_WITH == set(get_command(app).commands)  # type: ignore[attr-defined]  # it is a group


def test_no_command_shows_it(told: Up) -> None:
    shown = [("deadletters", "show", str(n)) for n in range(1, len(LETTERS) + 1)]
    commands = [*TO_LOOK_WITH, *shown, *((*words, "--json") for words in shown)]
    for words, said in zip(commands, told.said(commands, stdin=json.dumps(WRONG)), strict=True):
        assert said.strip(), words
        assert "Traceback" not in said, (words, said)
        assert "Usage:" not in said, (words, said)
        assert "entrusted" not in said, (words, said)


def test_only_who_asks_for_the_letter_itself_gets_it(told: Up) -> None:
    assert TOKEN in told.jetmesh("deadletters", "show", "1", "--payload").stdout
    assert TOKEN in told.jetmesh("deadletters", "export", "1").stdout


def test_no_page_and_no_log_shows_it(told: Up) -> None:
    state = told.state()
    for name, where in {**state["services"], **state["sandboxes"]}.items():
        seen = dict(pages(where["url"]))
        assert seen, name
        for url, text in seen.items():
            assert "entrusted" not in text, url
    assert "entrusted" not in told.log.read_text()
    kept = [path for path in (told.root / ".jetmesh").rglob("*.log") if path.is_file()]
    assert not [path for path in kept if "entrusted" in path.read_text(errors="replace")]


def pages(url: str) -> Iterator[tuple[str, str]]:
    """What is found from the first page on, and what is linked nowhere."""
    waiting = [urljoin(f"{url}/", path) for path in PATHS]
    seen: set[str] = set()
    while waiting and len(seen) < 100:
        each = waiting.pop().partition("#")[0]
        if each in seen or not each.startswith(url) or "/live" in each:
            continue
        seen.add(each)
        try:
            with urllib.request.urlopen(each, timeout=10) as answer:  # noqa: S310 - loopback only
                text = answer.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
        waiting += [urljoin(each, link) for link in _links.findall(text)]
        yield each, text
