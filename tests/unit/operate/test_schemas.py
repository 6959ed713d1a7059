"""A published schema takes what the decoder takes, and refuses what clearly breaks the contract."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from msgspec import Meta, Struct, field

from jetmesh import event, replaces
from jetmesh.operate.schemas import DIALECT, component_schemas, json_schema
from tests.unit.declared import spec


class Size(StrEnum):
    """How big.

    small: fits into a pocket.
        Not into every one.
    """

    SMALL = "small"
    LARGE = "large"


class Colour(StrEnum):
    """Which colour; more may come."""

    RED = "red"
    OTHER = "other"

    @classmethod
    def _missing_(cls, _: object) -> Colour:
        return cls.OTHER


class Cash(Struct, frozen=True, tag="cash"):
    """Coins."""


class Card(Struct, frozen=True, tag="card"):
    """Plastic."""

    number: Annotated[str, Meta(extra={"sensitive": True})]


class Item(Struct, frozen=True, kw_only=True):
    """One line."""

    price: Annotated[Decimal, Meta(description="What one costs.")]
    size: Size
    colour: Colour = Colour.RED


@event("shop.bought", key="id", decision="shop.*")
class Bought(Struct, frozen=True, kw_only=True):
    """Somebody bought.

    And paid for it.
    """

    id: str = field(name="purchaseId")
    """What was bought, as a number."""
    items: tuple[Item, ...]
    discriminator: str
    by: Card | Cash
    address: Annotated[str, Meta(extra={"sensitive": True}, description="Where to.")] | None = None
    discount: Decimal | None = None
    at: Annotated[datetime, Meta(tz=True)] | None = None


@event("shop.nested")
class Nested(Struct, frozen=True):
    """A box of boxes."""

    name: str
    inside: tuple[Nested, ...] = ()


GOOD: dict[str, Any] = {
    "purchaseId": "p-1",
    "items": [{"price": "4.50", "size": "small"}],
    "discriminator": "a field may be called so",
    "by": {"type": "card", "number": "4"},
}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return json_schema(spec(Bought))


@pytest.fixture(scope="module")
def accepts(schema: dict[str, Any]) -> Callable[[Any], bool]:
    validator = Draft202012Validator(schema)
    is_valid: Callable[[Any], bool] = validator.is_valid
    return is_valid


def decodes(value: Any) -> bool:
    try:
        msgspec.json.decode(json.dumps(value).encode(), type=Bought)
    except msgspec.ValidationError:
        return False
    return True


def item(**changes: Any) -> dict[str, Any]:
    return GOOD | {"items": [{"price": "4.50", "size": "small"} | changes]}


def test_the_schema_is_a_valid_one_and_says_what_it_describes(schema: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == DIALECT
    assert schema["title"] == "Bought"
    assert schema["description"] == "Somebody bought.\n\nAnd paid for it."
    assert (schema["x-subject"], schema["x-stream"]) == ("shop.bought", "SHOP")
    assert (schema["x-key"], schema["x-decision"]) == ("purchaseId", "shop.*")


@pytest.mark.parametrize(
    "good",
    [
        GOOD,
        item(price=4.5),
        item(price=4),
        item(price="-4.5e3"),
        item(price="NaN"),
        item(colour="a colour of tomorrow"),
        GOOD | {"unknown": "field"},
        GOOD | {"discount": None, "address": None},
        GOOD | {"discount": 1, "address": "x", "at": "2025-01-02T03:04:05Z"},
        GOOD | {"by": {"type": "cash"}},
    ],
)
def test_what_the_decoder_takes_the_schema_takes(accepts: Callable[[Any], bool], good: Any) -> None:
    assert decodes(good)
    assert accepts(good)


@pytest.mark.parametrize(
    "bad",
    [
        {},
        [],
        None,
        {name: value for name, value in GOOD.items() if name != "items"},
        GOOD | {"purchaseId": 1},
        GOOD | {"items": None},
        item(price="cheap"),
        item(price=""),
        item(price=True),
        item(price=None),
        item(size="medium"),
        item(colour=3),
        GOOD | {"by": {"type": "cheque"}},
        GOOD | {"discount": "much"},
    ],
)
def test_what_the_decoder_refuses_the_schema_refuses(
    accepts: Callable[[Any], bool], bad: Any
) -> None:
    assert not decodes(bad)
    assert not accepts(bad)


@given(st.decimals(allow_nan=True, allow_infinity=True))
def test_every_decimal_that_is_written_is_valid(
    accepts: Callable[[Any], bool], amount: Decimal
) -> None:
    written = json.loads(msgspec.json.encode({"price": amount, "size": "small"}))
    assert accepts(GOOD | {"items": [written]})


def test_the_key_is_neither_empty_nor_longer_than_a_subject_carries(
    accepts: Callable[[Any], bool],
) -> None:
    assert not accepts(GOOD | {"purchaseId": ""})
    assert not accepts(GOOD | {"purchaseId": "x" * 201})


def test_fields_are_described_by_meta_or_by_the_string_below_them(schema: dict[str, Any]) -> None:
    assert schema["properties"]["purchaseId"]["description"] == "What was bought, as a number."
    assert schema["$defs"]["Item"]["properties"]["price"]["description"] == "What one costs."


def test_descriptions_are_the_same_on_every_python(schema: dict[str, Any]) -> None:
    """3.13 takes the indentation from docstrings, older ones leave it."""
    text = "How big.\n\nsmall: fits into a pocket.\n    Not into every one."
    assert schema["$defs"]["Size"]["description"] == text
    assert schema["description"] == "Somebody bought.\n\nAnd paid for it."


def test_sensitive_fields_are_marked_wherever_they_are(schema: dict[str, Any]) -> None:
    assert schema["properties"]["address"]["x-sensitive"] is True
    assert schema["$defs"]["Card"]["properties"]["number"]["x-sensitive"] is True
    assert "x-sensitive" not in schema["properties"]["by"]
    assert "x-sensitive" not in schema["properties"]["purchaseId"]


def test_the_discriminator_of_openapi_is_gone_but_a_field_of_that_name_stays(
    schema: dict[str, Any],
) -> None:
    assert "discriminator" in schema["properties"]
    assert "discriminator" not in schema["properties"]["by"]


def test_a_type_that_contains_itself_is_described_once() -> None:
    schema = json_schema(spec(Nested))
    Draft202012Validator.check_schema(schema)
    valid = Draft202012Validator(schema).is_valid
    assert valid({"name": "a", "inside": [{"name": "b", "inside": [{"name": "c"}]}]})
    assert not valid({"name": "a", "inside": [{"name": 2}]})


def test_shared_types_are_named_once_for_all_events() -> None:
    names, schemas = component_schemas([spec(Bought), spec(Nested)], "#/there/{name}")
    assert set(names.values()) == set(schemas)
    assert schemas["Bought"]["properties"]["items"]["items"] == {"$ref": "#/there/Item"}
    assert list(schemas) == sorted(schemas)


def test_an_event_that_gives_way_to_another_is_deprecated_with_its_record() -> None:
    @event("shop.sold", key="id")
    class Sold(Struct, frozen=True):
        id: str

    @event("shop-by.sold", key="id")
    class SoldAgain(Struct, frozen=True):
        id: str

    def again(old: Any) -> Any: ...

    assert "deprecated" not in json_schema(spec(Sold))
    again.__annotations__ |= {"old": Sold, "return": SoldAgain}
    replaces(Sold, reason="it says too little", until="2027-03-01")(again)
    published = json_schema(spec(Sold))
    record = {"subject": "shop-by.sold", "reason": "it says too little", "until": "2027-03-01"}
    assert (published["deprecated"], published["x-replaced-by"]) == (True, [record])
    assert "deprecated" not in json_schema(spec(SoldAgain))
