"""What of a payload people may see."""

from __future__ import annotations

import json
import time
from typing import Annotated

import pytest
from msgspec import Meta, Struct

from jetmesh import event
from jetmesh.declare import EventSpec, spec_of
from jetmesh.operate.deadletters.payload import render

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


def spec() -> EventSpec:
    found = spec_of(Validated)
    assert found is not None
    return found


def order(**more: object) -> dict[str, object]:
    return {"order_id": "p-1", "token": "tok_one", "customer": {"name": "Sample Customer"}, **more}


def test_sensitive_fields_are_masked_and_the_rest_is_laid_out() -> None:
    payload = json.dumps(order(pin=4711, note="Sample Customer paid with tok_one", new=[1, None]))
    found = render(payload.encode(), spec())
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
    assert json.loads(render(payload.encode(), spec()).text) == {
        "token": "•••",
        "customer": {"name": ["•••"]},
    }


def test_without_a_contract_addresses_are_masked() -> None:
    found = render(b'{"any": "write to customer@example.test", "token": "tok_one"}', None)
    assert json.loads(found.text) == {"any": "write to •••", "token": "tok_one"}


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b'{"token": "tok_one", "pin": 5, "n": "cut of', '{"token": "•••", "pin": 5, "n": "•••"'),
        (
            b"{'token': 'one', \"a\\\"b\" : 'it', 'n': 1",
            "{'token': '•••', \"a\\\"b\" : '•••', 'n': 1",
        ),
        (b'["tok_one" "tok_two"]', '["•••" "•••"]'),
        (b"hello customer@example.test\n\tbye", "hello •••\n\\tbye"),
    ],
)
def test_what_only_looks_like_json_keeps_its_names_and_loses_its_values(
    payload: bytes, text: str
) -> None:
    assert render(payload, spec()) == ("text", text, 0)


@pytest.mark.parametrize("payload", [b"\xff\x00\x80abc", b"\x1b[2Jcleared", b"a\x00b"])
def test_what_is_no_text_is_shown_as_bytes(payload: bytes) -> None:
    assert render(payload, spec()) == ("bytes", payload.hex(" "), 0)


def test_an_empty_payload_is_told_so() -> None:
    assert render(b"", spec()).kind == "empty"


def test_of_a_large_payload_the_beginning_is_shown() -> None:
    bytes_ = render(b"\xff" * 900_000, spec())
    assert (len(bytes_.text.splitlines()), bytes_.left_out) == (32, 900_000 - 512)
    text = render(b"x" * 900_000, spec())
    assert (len(text.text), text.left_out) == (16_000, 884_000)
    large = render(json.dumps(order(note="y" * 900_000)).encode(), spec())
    assert len(large.text) == 16_000
    assert large.left_out > 880_000


def test_no_payload_costs_seconds() -> None:
    """Nesting without end, thousands of secrets, quotes without end."""
    began = time.process_time()
    many = json.dumps([order(token=f"tok_{n}", note=f"n-{n}") for n in range(5_000)]).encode()
    assert "tok_4999" not in render(b'{"order_id": ' + many + b"}", spec()).text
    for payload in (b"[" * 100_000, b'{"' * 400_000, b"{'\\" * 300_000, b'{"a":' * 900):
        assert render(payload, spec()).text
    assert time.process_time() - began < 5
