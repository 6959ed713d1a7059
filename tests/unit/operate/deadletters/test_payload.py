"""What of a payload people may see."""

from __future__ import annotations

import gzip
import json
import time
from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
import pytest
from msgspec import Meta, Struct

from jetmesh import event, upcasts
from jetmesh.declare import declared_spec
from jetmesh.operate.deadletters.payload import header, hidden_in, render

Token = Annotated[str, Meta(extra={"sensitive": True})]


class Customer(Struct, frozen=True):
    name: Annotated[str, Meta(extra={"sensitive": True})]


@event("orders.validated", key="order_id")
class Validated(Struct, frozen=True):
    order_id: str
    token: Token
    customer: Customer
    pin: Annotated[int, Meta(extra={"sensitive": True})] = 0
    note: str = ""


@event("orders.placed", key="order_id")
class Placed(Struct, frozen=True):
    """Another event of the same system."""

    order_id: str
    e_mail: Annotated[str, Meta(extra={"sensitive": True})]


CONTRACTS = (Validated, Placed)


def order(**more: object) -> dict[str, object]:
    return {"order_id": "p-1", "token": "tok_one", "customer": {"name": "Sample Customer"}, **more}


def test_sensitive_fields_are_masked_and_the_rest_is_laid_out() -> None:
    payload = json.dumps(order(pin=4711, note="Sample Customer paid with tok_one", new=[1, None]))
    found = render(payload.encode(), CONTRACTS)
    assert found.kind == "JSON"
    assert json.loads(found.text) == {
        "order_id": "p-1",
        "token": "•••",
        "customer": {"name": "•••"},
        "pin": "•••",
        "note": "••• paid with •••",
        "new": [1, None],
    }
    assert found.text.startswith('{\n  "order_id": "p-1",\n')


def test_fields_are_masked_although_the_contract_is_broken() -> None:
    """That is why it is a dead letter."""
    payload = json.dumps({"token": "tok_one", "customer": {"name": ["Sample Customer"]}})
    assert json.loads(render(payload.encode(), CONTRACTS).text) == {
        "token": "•••",
        "customer": {"name": ["•••"]},
    }


def test_without_a_contract_addresses_are_masked() -> None:
    found = render(b'{"any": "write to customer@example.test", "token": "tok_one"}')
    assert json.loads(found.text) == {"any": "write to •••", "token": "tok_one"}


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b'{"token": "tok_one", "pin": 5, "n": "cut of', '{"token": "•••", "pin": •••, "n": "•••"'),
        (
            b"{'token': 'one', \"a\\\"b\" : 'it', 'n': 1",
            "{'token': '•••', \"a\\\"b\" : '•••', 'n': •••",
        ),
        (b'["tok_one" "tok_two"]', '["•••" "•••"]'),
        (b'{"pin": 4711, "cut\x1b', '{"pin": •••, "•••"'),
        (b"hello customer@example.test\n\tbye", "hello •••\n\\tbye"),
    ],
)
def test_what_only_looks_like_json_keeps_its_names_and_loses_its_values(
    payload: bytes, text: str
) -> None:
    assert render(payload, CONTRACTS) == ("text", text, 0)


@pytest.mark.parametrize("payload", [b"\xff\x00\x80abc", b"\x1b[2Jcleared", b"a\x00b"])
def test_what_is_no_text_is_not_shown(payload: bytes) -> None:
    assert render(payload, CONTRACTS) == ("bytes", "", len(payload))


SECRET = order(pin=4711, eMail="customer at example", note="n")
FORM = urlencode({**SECRET, "customer": "", "name": "Sample Customer"})
HIDDEN = ("tok_one", "Sample Customer", "4711", "customer at example", "cust%6Fmer")


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(json.dumps({"data": SECRET}).encode(), id="envelope"),
        pytest.param(json.dumps([[SECRET], SECRET]).encode(), id="list"),
        pytest.param(json.dumps(json.dumps(SECRET)).encode(), id="string"),
        pytest.param(
            json.dumps({"body": json.dumps({"in": [SECRET]})}).encode(), id="string within"
        ),
        pytest.param(f"{json.dumps(SECRET)}\n{json.dumps({'e': SECRET})}".encode(), id="lines"),
        pytest.param(json.dumps(SECRET)[:-12].encode(), id="truncated"),
        pytest.param(json.dumps({"data": SECRET})[:-12].encode(), id="truncated envelope"),
        pytest.param(b"\xef\xbb\xbf" + json.dumps(SECRET).encode(), id="byte order mark"),
        pytest.param(json.dumps(SECRET).encode("utf-16"), id="UTF-16"),
        pytest.param(json.dumps({"data": SECRET}).encode("utf-16-le"), id="UTF-16 unmarked"),
        pytest.param(json.dumps(SECRET).encode("utf-32-be"), id="UTF-32"),
        pytest.param(json.dumps(SECRET).encode().replace(b'"n"', b'"n\0"'), id="a raw NUL"),
        pytest.param(json.dumps(SECRET).encode().replace(b'"n"', b"NaN"), id="NaN"),
        pytest.param(msgspec.msgpack.encode({"data": SECRET}), id="msgpack"),
        pytest.param(
            urlencode({**SECRET, "customer": "", "name": "Sample Customer"}).encode(), id="form"
        ),
        pytest.param(b"token=tok_one&e-mail=cust%6Fmer&PIN=4711", id="form of another spelling"),
        pytest.param(b"<order><token>tok_one</token></order>", id="XML"),
        pytest.param(b"order_id: p-1\ntoken: tok_one\n", id="YAML"),
        pytest.param(b"order_id,token\np-1,tok_one\n", id="CSV"),
        pytest.param(json.dumps({"Order": {"TOKEN": "tok_one"}}).encode(), id="another case"),
        pytest.param(json.dumps({"token": {"value": ["tok_one"]}}).encode(), id="another type"),
        pytest.param(gzip.compress(json.dumps(SECRET).encode()), id="gzip"),
    ],
)
def test_what_is_sensitive_is_hidden_in_whatever_form_it_comes(payload: bytes) -> None:
    shown = render(payload, CONTRACTS)
    assert [secret for secret in HIDDEN if secret in shown.text] == []
    if shown.kind in ("bytes", "withheld"):
        assert (shown.text, shown.left_out > 0) == ("", True)
    else:
        assert "•••" in shown.text


@pytest.mark.parametrize(
    ("payload", "kind", "text"),
    [
        (b"order_id=p-1&token=tok_one", "form data", {"order_id": "p-1", "token": "•••"}),
        (msgspec.msgpack.encode({"order_id": "p-1", 3: 4}), "msgpack", {"order_id": "p-1", "3": 4}),
        ('{"order_id": "p-1"}'.encode("utf-16"), "JSON", {"order_id": "p-1"}),
    ],
)
def test_what_can_be_read_is_laid_out(payload: bytes, kind: str, text: object) -> None:
    shown = render(payload, CONTRACTS)
    assert (shown.kind, json.loads(shown.text)) == (kind, text)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("Token", "tok_one", "•••"),
        ("X-Customer-E-Mail", "somebody", "•••"),
        ("x-pin", "5", "•••"),
        ("X-Body", '{"data": {"token": "tok_one"}}', '{"data":{"token":"•••"}}'),
        ("By", "customer@example.test", "•••"),
        ("Trace", "00-1", "00-1"),
        ("X-Body", '{"pin": 4, "note": "\\ud800"}', '{"pin": •••, "note": "•••"}'),
        ("X-Body", "[" * 40_000, "[" * 2_000),
        ("Jetmesh-Token", "of ours", "of ours"),
    ],
)
def test_headers_hide_it_too(name: str, value: str, shown: str) -> None:
    assert header(name, value, CONTRACTS) == shown


def test_an_empty_payload_is_told_so() -> None:
    assert render(b"", CONTRACTS).kind == "empty"


def test_of_a_large_payload_the_beginning_is_shown() -> None:
    text = render(b"x" * 900_000, CONTRACTS)
    assert (len(text.text), text.left_out) == (16_000, 884_000)
    large = render(json.dumps(order(note="y" * 900_000)).encode(), CONTRACTS)
    assert len(large.text) == 16_000
    assert large.left_out > 880_000


def test_no_payload_costs_seconds() -> None:
    """Nesting without end, thousands of secrets, quotes without end."""
    began = time.process_time()
    many = json.dumps([order(token=f"tok_{n}", note=f"n-{n}") for n in range(5_000)]).encode()
    assert "tok_4999" not in render(b'{"order_id": ' + many + b"}", CONTRACTS).text
    for payload in (b"[" * 100_000, b'{"' * 400_000, b"{'\\" * 300_000, b'{"a":' * 900):
        assert render(payload, CONTRACTS).text
    assert time.process_time() - began < 5


@event("orders.renamed", key="order_id", version=2)
class Renamed(Struct, frozen=True):
    """What was `secret` is a `token` now."""

    order_id: str
    token: Token


@upcasts(1, Renamed)
def renamed(old: dict[str, Any]) -> dict[str, Any]:
    return {"order_id": old["order_id"], "token": old["secret"]}


AS_OF_BEFORE = {"Jetmesh-Stream": "ORDERS"}
"""A letter without a version: it is of the first one."""


def test_what_older_versions_called_by_another_name_is_masked() -> None:
    payload = b'{"order_id": "p-1", "secret": "tok_one", "note": "paid with tok_one"}'
    hidden = hidden_in(declared_spec(Renamed), payload, AS_OF_BEFORE)
    found = render(payload, [Renamed], hidden=hidden)
    note = {"secret": "•••", "note": "paid with •••"}
    assert json.loads(found.text) == {"order_id": "p-1", **note}


def test_of_an_older_version_that_nobody_can_read_only_the_names_are_shown() -> None:
    payload = b'{"order_id": "p-1", "hidden": "tok_one"}'
    hidden = hidden_in(declared_spec(Renamed), payload, AS_OF_BEFORE)
    found = render(payload, [Renamed], hidden=hidden)
    assert "tok_one" not in found.text
    assert '"hidden"' in found.text


@pytest.mark.parametrize("headers", [{}, {"Jetmesh-Event-Version": "+2"}], ids=["open", "newest"])
def test_of_the_newest_version_the_contract_says_it_all(headers: dict[str, str]) -> None:
    payload = b'{"token": "tok_one", "note": "the key is missing"}'
    hidden = hidden_in(declared_spec(Renamed), payload, headers)
    found = render(payload, [Renamed], hidden=hidden)
    assert json.loads(found.text) == {"token": "•••", "note": "the key is missing"}
