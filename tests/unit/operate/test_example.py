"""Examples of events are made of what contracts declare, and of nothing else."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta, Struct

from jetmesh import Service, event
from jetmesh.declare import EventSpec, derive, spec_of
from jetmesh.errors import UsageError
from jetmesh.operate.example import example, from_outside, made_up, unique_example
from shop_contracts import PurchaseCreated

Name = Annotated[str, Meta(examples=["A", "B"])]


class Colour(Enum):
    RED = "red"


class Part(Struct, frozen=True):
    size: Annotated[int, Meta(examples=[3])]
    note: str = ""


@event("examples.made", key="id")
class Made(Struct, frozen=True, rename="camel", tag=True):
    id: str
    shown_name: Name
    colour: Colour
    kind: Literal["a", "b"]
    parts: list[Part]
    more: dict[str, int]
    either: bool | None
    left_out: datetime | None = None
    given: Annotated[str, Meta(examples=["given"])] = ""


@event("examples.bare", key="id")
class Bare(Struct, frozen=True):
    id: str
    parts: tuple[Part, ...]
    of: tuple[datetime, ...]


@event("examples.wrong", key="id")
class Wrong(Struct, frozen=True):
    id: str
    size: Annotated[int, Meta(ge=3, examples=[1])]


@event("examples.odd", key="id")
class Odd(Struct, frozen=True):
    id: Annotated[str, Meta(pattern="^[0-9]+$", examples=["7"])]


def declared(kind: type[Struct]) -> EventSpec:
    spec = spec_of(kind)
    assert spec is not None
    return spec


def test_each_field_is_its_first_example_and_a_default_is_left_out() -> None:
    assert example(declared(Made)) == {
        "type": "Made",
        "id": "example-1",
        "shownName": "A",
        "colour": "red",
        "kind": "a",
        "parts": [{"size": 3}],
        "more": {},
        "either": None,
        "given": "given",
    }


def test_the_example_of_a_purchase_is_a_sound_one() -> None:
    purchase = msgspec.convert(example(declared(PurchaseCreated)), PurchaseCreated, strict=False)
    total = sum(item.quantity * item.unit_price for item in purchase.items)
    assert purchase.total == total


def test_a_field_without_an_example_is_named_by_its_path() -> None:
    with pytest.raises(UsageError, match=r"Bare\.of\[0\] has neither an example nor a default"):
        example(declared(Bare))


def test_examples_that_break_the_contract_are_refused() -> None:
    with pytest.raises(UsageError, match=r"The examples in Wrong .* >= 3"):
        example(declared(Wrong))


def test_each_trial_has_a_key_of_its_own() -> None:
    first, second = unique_example(declared(Made)), unique_example(declared(Made))
    assert first[0] != second[0]
    assert first[1].subject == f"examples.made.{first[0]}"


def test_a_key_that_the_contract_refuses_is_not_made_up() -> None:
    key, checked = unique_example(declared(Odd))
    assert (key, checked.subject, checked.payload) == ("7", "examples.odd.7", b'{"id":"7"}')


def test_only_what_comes_from_outside_is_to_be_published() -> None:
    service = Service("paints")

    @service.on(Made)
    def paint(made: Made) -> Odd:
        return Odd(made.id)

    @service.on(Odd)
    def done(odd: Odd) -> None: ...

    assert from_outside(derive([service])) == [declared(Made)]


class Late(Struct, frozen=True):
    """Its second example alone is wrong."""

    size: Annotated[int, Meta(ge=3, examples=[4, 1])]


@event("examples.second")
class Second(Struct, frozen=True):
    parts: tuple[Late, ...]


@event("examples.patterned")
class Patterned(Struct, frozen=True):
    size: Annotated[str, Meta(pattern="^[0-9]+$")]
    name: Name


def test_what_is_made_up_has_every_example_and_a_guess_for_the_rest() -> None:
    assert made_up(declared(Bare)) == {
        "id": "example-1",
        "parts": [{"size": 3}],
        "of": ["2026-01-01T12:00:00Z"],
    }
    made = made_up(declared(Made))
    assert made is not None
    assert (made["shownName"], made["given"], made["either"]) == ("A", "given", True)


def test_where_a_guess_breaks_the_contract_nothing_is_made_up() -> None:
    assert made_up(declared(Patterned)) is None


@pytest.mark.parametrize("kind", [Wrong, Second])
def test_an_example_that_breaks_the_contract_is_named_however_deep_it_is(
    kind: type[Struct],
) -> None:
    with pytest.raises(UsageError, match=rf"The examples in {kind.__name__} are none: .*size"):
        made_up(declared(kind))
