"""Examples of contracts: each keeps its contract, and is written as Python."""

from __future__ import annotations

import ast
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta, Struct

import shop_contracts
from jetmesh import event
from jetmesh.declare import EventSpec, spec_of
from jetmesh.operate.scaffold.example import example, written

SHOP = [found for each in vars(shop_contracts).values() if (found := spec_of(each))]


class Colour(Enum):
    RED = "red"


class Part(Struct, frozen=True):
    size: Annotated[int, Meta(ge=3)]
    note: str = ""


@event("sample.made", key="id")
class Made(Struct, frozen=True, rename="camel"):
    id: str
    made_at: datetime
    price: Decimal
    colour: Colour
    kind: Literal["a", "b"]
    parts: list[Part]
    more: dict[str, int]
    either: bool | None
    share: float


@event("sample.pattern", key="id")
class Patterned(Struct, frozen=True):
    id: str
    code: Annotated[str, Meta(pattern="^[0-9]{4}$")]


def declared(kind: type[Struct]) -> EventSpec:
    spec = spec_of(kind)
    assert spec is not None
    return spec


@pytest.mark.parametrize("given", [declared(Made), *SHOP], ids=lambda given: given.name)
def test_an_example_keeps_its_contract(given: EventSpec) -> None:
    value = example(given, "p-1")
    made: Any = msgspec.json.decode(msgspec.json.encode(value), type=given.type)
    assert getattr(made, given.key or "") == "p-1"


def test_what_cannot_be_guessed_is_none() -> None:
    assert example(declared(Patterned), "p-1") is None


def test_only_what_is_demanded_is_in_it() -> None:
    value = example(declared(Made), "p-1")
    assert value is not None
    assert value["parts"] == [{"size": 3}]


@pytest.mark.parametrize("given", [declared(Made), *SHOP], ids=lambda given: given.name)
def test_it_is_written_in_lines_that_fit(given: EventSpec) -> None:
    value = example(given, "p-1")
    text = written(value)
    assert ast.literal_eval(text) == value
    assert max(map(len, text.splitlines())) <= 88
