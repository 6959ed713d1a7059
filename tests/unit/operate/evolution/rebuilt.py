"""A described type, put together again, reads what the first one did."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import os
import uuid
from contextlib import suppress
from decimal import Decimal
from random import Random
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec import UNSET, Meta, Struct, UnsetType, field
from msgspec import structs as structs_of

from jetmesh.errors import DeclarationError
from jetmesh.operate.evolution.describe import describe
from jetmesh.operate.evolution.descriptor import Descriptor
from jetmesh.operate.evolution.generate import Values
from jetmesh.operate.evolution.leaves import Impossible
from jetmesh.operate.evolution.rebuild import rebuild
from tests.unit.operate.evolution.types import mutated, readable, structs, types

EXAMPLES = int(os.environ.get("EXAMPLES", "500"))


def kept(kind: Any) -> Any:
    """The type after its descriptor was a file."""
    written = msgspec.json.encode(describe(kind))
    return rebuild(msgspec.json.decode(written, type=Descriptor))


def read(kind: Any, payload: bytes) -> Any:
    """What the decoder makes of it, in a form that is alike for alike types; or its error."""
    try:
        value = msgspec.json.decode(payload, type=kind)
    except (msgspec.ValidationError, TypeError) as error:
        return f"refused{str(error).partition(' - at ')[2]}"  # of two faults either is named
    return plain(value)


def plain(value: Any) -> Any:
    """All that it holds, by the names of its fields, whatever the types are called."""
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if isinstance(value, Struct):
        value = structs_of.asdict(value)
    elif dataclasses.is_dataclass(value):
        value = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    elif isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):  # what a TypedDict lacks, its Struct has as UNSET
        return {str(plain(key)): plain(v) for key, v in value.items() if v is not UNSET}
    if isinstance(value, tuple | list):
        return ["tuple" if isinstance(value, tuple) else "list", *map(plain, value)]
    if isinstance(value, set | frozenset):
        return [type(value).__name__, *sorted(map(repr, map(plain, value)))]
    if isinstance(value, Decimal):  # as a default of Any it is rebuilt as a text
        return repr(str(value))
    return repr(bytes(value)) if isinstance(value, msgspec.Raw | memoryview) else repr(value)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.one_of(structs(3), types(3)), st.randoms(use_true_random=False))
def test_a_rebuilt_type_reads_every_payload_as_the_described_one(kind: Any, random: Random) -> None:
    assume(readable(kind))
    described = describe(kind)
    again = kept(kind)
    values = Values(described, random, loose=True)
    for _ in range(4):
        try:
            value = values.one()
        except Impossible:
            return
        for payload in (value, mutated(value, random), mutated(mutated(value, random), random)):
            written = msgspec.json.encode(payload)
            assert read(again, written) == read(kind, written)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    kind=st.one_of(structs(3), types(3)),
    random=st.randoms(use_true_random=False),
    loose=st.booleans(),
)
def test_a_generated_value_is_read_by_its_type(kind: Any, random: Random, *, loose: bool) -> None:
    assume(readable(kind))
    try:
        value = Values(describe(kind), random, loose=loose).one()
    except Impossible:
        return
    with suppress(TypeError):  # a set of what has no hash
        msgspec.json.decode(msgspec.json.encode(value), type=kind)


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


class Tree(Struct, frozen=True):
    """It contains itself."""

    leaf: Colour = Colour.BLUE
    branches: tuple[Tree, ...] = ()


def test_a_type_that_contains_itself_is_rebuilt() -> None:
    again = kept(Tree)
    payload = b'{"branches": [{"leaf": "red"}, {"branches": [{}]}]}'
    assert read(again, payload) == read(Tree, payload)
    assert "$.branches[0].leaf" in read(again, b'{"branches": [{"leaf": "green"}]}')


def test_a_default_that_is_made_anew_or_unset_is_kept_as_far_as_it_can_be() -> None:
    class Made(Struct):
        id: uuid.UUID = field(default_factory=uuid.uuid4)
        at: dt.datetime | UnsetType = UNSET
        price: Annotated[Decimal, Meta(extra={"sensitive": True})] = Decimal("1.50")
        tags: list[str] = field(default_factory=lambda: ["a"])

    described = describe(Made)
    found = msgspec.json.decode(b"{}", type=kept(Made))
    assert isinstance(found.id, uuid.UUID)
    assert found.at is UNSET
    assert (found.price, found.tags) == (Decimal("1.50"), ["a"])
    assert "sensitive=True" in str(described.types["Made"])


def test_a_type_that_no_decoder_reads_is_refused() -> None:
    class Odd(Struct):
        value: complex

    with pytest.raises(DeclarationError, match="complex"):
        describe(Odd)
