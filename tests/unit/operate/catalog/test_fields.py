"""The fields of an event as its page lists them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, Struct, field

from jetmesh import Service, derive, event
from jetmesh.operate.catalog.entries import entries
from jetmesh.operate.catalog.fields import Row
from jetmesh.operate.evolution.released import Released


class Size(Enum):
    SMALL = "small"

    @classmethod
    def _missing_(cls, value: object) -> Size:
        del value
        return cls.SMALL


class Cash(Struct, frozen=True, tag="cash"):
    """Coins."""


class Card(Struct, frozen=True, tag="card"):
    """Plastic."""

    number: Annotated[str, Meta(extra={"sensitive": True})]


class Node(Struct, frozen=True):
    """It may hold itself."""

    name: str
    nodes: tuple[Node, ...] = ()


@event("rows.made", key="id")
class Made(Struct, frozen=True, kw_only=True):
    """Everything."""

    id: str = field(name="theId")
    """What it is about."""
    amount: Annotated[Decimal, Meta(description="How much.", examples=["9.00"])] = Decimal(1)
    count: Annotated[int, Meta(ge=1, lt=10)]
    at: Annotated[datetime, Meta(tz=True)] | None = None
    size: Size
    kind: Literal["a", "b"] = "a"
    way: Cash | Card
    tree: Node
    prices: dict[str, Card] = {}
    names: Annotated[tuple[str, ...], Meta(max_length=3)] = ()
    pair: tuple[int, Card]
    code: Annotated[str, Meta(pattern="^[a-z]+$", min_length=2)] = "aa"
    data: bytes = b""
    rest: Any = None


@pytest.fixture(scope="module")
def found() -> dict[str, Row]:
    service = Service("rows")

    @service.on(Made)
    def take(made: Made) -> None: ...

    [entry] = entries(derive([service]), Released([]))
    return {row.path: row for row in entry.fields}


def test_every_field_is_listed_below_the_one_that_holds_it(found: dict[str, Row]) -> None:
    paths = list(found)
    assert paths[:2] == ["theId", "amount"]
    for inner in (
        "tree.name",
        "tree.nodes",
        "way.type",
        "way.number",
        "prices{}.number",
        "pair[].number",
    ):
        assert paths.index(inner) > paths.index(
            inner.partition(".")[0].removesuffix("[]").removesuffix("{}")
        )
    assert "tree.nodes[].name" not in found, "what holds itself ends somewhere"
    assert (found["prices{}.number"].depth, found["prices{}.number"].name) == (1, "number")


def test_a_kind_is_in_words(found: dict[str, Row]) -> None:
    assert {name: row.kind for name, row in found.items() if "." not in name} == {
        "theId": "string",
        "amount": "decimal",
        "count": "integer",
        "at": "time or null",
        "size": "one of",
        "kind": "one of",
        "way": "Cash or Card",
        "tree": "Node",
        "prices": "map to Card",
        "names": "list of string",
        "pair": "list of integer, Card",
        "code": "string",
        "data": "bytes in base64",
        "rest": "anything",
    }


def test_what_is_said_of_a_field_is_there(found: dict[str, Row]) -> None:
    assert found["theId"].text == "What it is about."
    assert found["tree"].text == "It may hold itself.", "as its type says"
    assert (found["amount"].examples, found["amount"].default) == (('"9.00"',), '"1"')
    assert not found["amount"].is_required
    assert (found["count"].is_required, found["count"].limits) == (True, ("≥ 1", "< 10"))
    assert found["names"].limits == ("0 to 3 of them",)
    assert found["code"].limits == ("at least 2 characters", "matches ^[a-z]+$")
    assert found["kind"].values == ('"a"', '"b"')
    assert found["size"].values == ('"small"', "any other")
    assert [name for name, row in found.items() if row.is_sensitive] == [
        "way.number",
        "prices{}.number",
        "pair[].number",
    ]
