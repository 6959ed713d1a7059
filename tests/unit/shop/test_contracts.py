"""The contracts on the wire: what is read, what is written, what is refused."""

from __future__ import annotations

import inspect
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

import shop_contracts
from jetmesh.declare import spec_of
from shop.order_validation import ValidationSettings, find_faults
from shop_contracts import (
    Channel,
    Code,
    DeclineReason,
    Outcome,
    PurchaseCreated,
    RejectionCode,
    Tier,
)
from tests.unit.shop import flow

EXAMPLES = Path(__file__).parents[3] / "examples" / "purchases"
PUBLIC = [getattr(shop_contracts, name) for name in shop_contracts.__all__]
STRUCTS = [t for t in PUBLIC if isinstance(t, type) and issubclass(t, Struct)]
EVENTS = [
    flow.created(),
    flow.validated(),
    flow.rejected("p-1", RejectionCode.NO_ITEMS),
    flow.captured(),
    flow.declined(),
    flow.told(),
    flow.account(60),
    flow.reached(Tier.GOLD),
]


def wire(**changes: Any) -> bytes:
    raw: dict[str, Any] = json.loads((EXAMPLES / "good.json").read_bytes())
    return json.dumps(raw | changes).encode()


def read(data: bytes) -> PurchaseCreated:
    return msgspec.json.decode(data, type=PurchaseCreated)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_event_survives_its_encoding(event: Struct) -> None:
    assert msgspec.json.decode(msgspec.json.encode(event), type=type(event)) == event


@pytest.mark.parametrize("total", [b'"16.90"', b"16.90"])
def test_money_is_read_as_number_or_string_with_every_digit_and_written_as_string(
    total: bytes,
) -> None:
    purchase = read(wire().replace(b'"16.90"', total))
    assert str(purchase.total) == "16.90"
    assert b'"total":"16.90"' in msgspec.json.encode(purchase)


@given(st.decimals(allow_nan=False))
def test_every_amount_survives_its_encoding(amount: Decimal) -> None:
    written = msgspec.json.encode(flow.created(total=amount))
    assert str(read(written).total) == str(amount)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"total": True}, "$.total"),
        ({"total": "nine"}, "$.total"),
        ({"items": None}, "$.items"),
        ({"items": [{"sku": "tea", "quantity": 1.5, "unit_price": 1}]}, "$.items[0].quantity"),
        ({"items": [{"sku": "tea", "quantity": 1}]}, "$.items[0]"),
        ({"customer": {"id": "c-1", "name": "Sample Customer"}}, "$.customer"),
        ({"purchase_id": ""}, "$.purchase_id"),
        ({"purchase_id": "x" * 201}, "$.purchase_id"),
        ({"placed_at": "2026-11-23T12:00:00"}, "$.placed_at"),
    ],
)
def test_what_breaks_the_contract_is_named_by_its_path(changes: dict[str, Any], path: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        read(wire(**changes))
    assert f"`{path}`" in str(caught.value)


def test_unknown_fields_are_ignored_and_a_missing_time_is_none() -> None:
    assert read(wire(coupon="none of ours")).placed_at is None


@pytest.mark.parametrize("code", [RejectionCode, DeclineReason, Outcome, Channel, Tier])
def test_a_code_newer_than_its_reader_is_read_as_other(code: type[Code]) -> None:
    assert msgspec.json.decode(b'"of next year"', type=code) is code("other")
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b"1", type=code)


@pytest.mark.parametrize("code", [RejectionCode, DeclineReason, Outcome, Channel])
def test_every_code_is_explained(code: type[Code]) -> None:
    assert all(f"\n{member.value}: " in (inspect.getdoc(code) or "") for member in code)


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_every_type_and_field_is_described_in_its_schema(struct: type[Struct]) -> None:
    _, schemas = msgspec.json.schema_components([struct])
    schema = schemas[struct.__name__]
    assert schema["description"]
    bare = [name for name, field in schema["properties"].items() if not described(field, schemas)]
    assert bare == []


def described(field: dict[str, Any], schemas: dict[str, Any]) -> bool:
    named = field.get("$ref", "").rpartition("/")[2]
    return bool(field.get("description") or schemas.get(named, {}).get("description"))


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_contracts_keep_the_rules_that_let_them_evolve(struct: type[Struct]) -> None:
    config = struct.__struct_config__
    assert config.frozen
    assert not any((config.forbid_unknown_fields, config.array_like, config.omit_defaults))


def test_every_event_is_about_a_purchase_or_an_account_and_outcomes_exclude_one_another() -> None:
    specs = {spec.subject: spec for spec in map(spec_of, STRUCTS) if spec}
    assert {spec.key for spec in specs.values()} == {"purchase_id", "account"}
    assert {subject: spec.decision for subject, spec in specs.items()} == {
        "purchases.created": None,
        "orders.validated": "orders.*",
        "orders.rejected": "orders.*",
        "payments.captured": "payments.*",
        "payments.declined": "payments.*",
        "fulfilments.overdue": None,
        "fulfilments.expired": None,
        "states.fulfilment.orders": None,
        "fulfilments.refund_wanted": None,
        "refunds.made": "refunds.made",
        "notifications.sent": "notifications.*",
        "states.loyalty.accounts": None,
        "tiers.reached": None,
        "notices.expired": "notices.expired",
        "notices.refunded": "notices.refunded",
    }


@pytest.mark.parametrize(
    ("name", "sound"), [("good", True), ("declined", True), ("invalid", False), ("templated", True)]
)
def test_the_examples_are_what_they_are_called(name: str, *, sound: bool) -> None:
    text = (EXAMPLES / f"{name}.json").read_text().replace("{{Count}}", "7")
    assert (find_faults(read(text.encode()), ValidationSettings()) == []) is sound
