"""Versions are checked where they are declared: each error is one sentence with its remedy."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import pytest
from msgspec import Struct

from jetmesh import Service, derive, event, upcasts
from jetmesh.declare import EventSpec, spec_of
from jetmesh.errors import DeclarationError, TopologyError

HERE = re.escape(__file__) + r":\d+: "


def declared(version: int, oldest: int = 1) -> type[Struct]:
    @event("versioned.told", key="id", version=version, oldest=oldest)
    class Told(Struct, frozen=True):
        id: str

    return Told


def spec(of: type[Struct]) -> EventSpec:
    found = spec_of(of)
    assert found is not None
    return found


def step(old: dict[str, Any]) -> dict[str, Any]:
    return old


def test_an_event_has_one_version_unless_it_says_more() -> None:
    @event("versioned.told")
    class Told(Struct, frozen=True):
        text: str

    assert (spec(Told).version, spec(Told).oldest, spec(Told).upcasters) == (1, 1, {})


def test_an_upcaster_is_kept_with_the_version_that_it_takes_and_stays_a_function() -> None:
    told = declared(3)
    assert upcasts(1, told)(step) is step
    assert upcasts(2, told)(step) is step
    assert {v: each.function for v, each in spec(told).upcasters.items()} == {1: step, 2: step}
    assert spec(told).upcasters[1].name == "step"
    assert spec(told).upcasters[1].where.startswith(f"{__file__}:")


def test_two_declarations_of_one_event_do_not_share_their_upcasters() -> None:
    one, other = declared(2), declared(2)
    upcasts(1, one)(step)
    assert spec(other).upcasters == {}


@pytest.mark.parametrize(("version", "oldest"), [(0, 1), (-1, 1), (1, 2), (2, 3), (2, 0)], ids=str)
def test_a_version_that_is_none_is_refused(version: int, oldest: int) -> None:
    with pytest.raises(DeclarationError, match=HERE + "event .*Told has the version") as error:
        declared(version, oldest)
    assert error.value.remedy


@pytest.mark.parametrize("version", [2, 3, 0, -1])
def test_an_upcaster_of_a_version_that_is_not_older_is_refused(version: int) -> None:
    with pytest.raises(DeclarationError, match=HERE + r"version -?\d of 'versioned.told' is not "):
        upcasts(version, declared(2))(step)


def test_a_circle_of_upcasters_cannot_be_written() -> None:
    """From 1 to 2 and from 2 back to 1: the second one leads from the newest."""
    told = declared(2)
    upcasts(1, told)(step)
    with pytest.raises(DeclarationError, match="and never back") as error:
        upcasts(2, told)(step)
    assert f"version=3 at {spec(told).where}" in error.value.remedy


def test_two_upcasters_for_one_version_are_refused() -> None:
    told = declared(2)
    upcasts(1, told)(step)
    with pytest.raises(DeclarationError, match=HERE + "version 1 .* already: step") as error:
        upcasts(1, told)(step)
    assert error.value.remedy == "Remove one of them."


def test_an_upcaster_for_a_version_that_was_dropped_is_refused() -> None:
    with pytest.raises(DeclarationError, match=HERE + "version 1 .* was dropped") as error:
        upcasts(1, declared(3, oldest=2))(step)
    assert error.value.remedy == "Remove the upcaster, or lower oldest."


def test_an_upcaster_of_what_is_no_event_is_refused() -> None:
    with pytest.raises(DeclarationError, match=HERE + "str is not an event"):
        upcasts(1, str)(step)  # type: ignore[arg-type] # on purpose


def no_mapping(old: str) -> dict[str, Any]:
    return {"id": old}


def no_result(old: dict[str, Any]) -> None: ...


def silent(old: dict[str, Any]):  # type: ignore[no-untyped-def] # on purpose
    return old


def two(old: dict[str, Any], more: int) -> dict[str, Any]:
    return {**old, "more": more}


async def awaiting(old: dict[str, Any]) -> dict[str, Any]:
    return old


def yielding(old: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield old


async def yielding_later(old: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    yield old


@pytest.mark.parametrize(
    "function", [no_mapping, no_result, silent, two, awaiting, yielding, yielding_later]
)
def test_a_function_that_does_not_make_a_mapping_of_a_mapping_is_refused(
    function: Callable[..., Any],
) -> None:
    with pytest.raises(DeclarationError, match=HERE + f"the upcaster {function.__name__}") as error:
        upcasts(1, declared(2))(function)
    assert error.value.remedy.startswith(f"Write def {function.__name__}(old: dict[str, Any])")


def test_a_mapping_may_be_annotated_as_such() -> None:
    def widest(old: Mapping[str, object]) -> Mapping[str, object]:
        return old

    def barest(old: dict) -> dict:  # type: ignore[type-arg] # on purpose
        return old

    upcasts(1, declared(2))(widest)  # type: ignore[type-var] # it takes more and promises less
    upcasts(1, declared(2))(barest)


def test_a_version_skipped_is_refused_before_anything_runs() -> None:
    told = declared(4, oldest=2)
    upcasts(3, told)(step)
    service = Service("versioned")
    service.on(told)(taking(told))
    with pytest.raises(TopologyError) as error:
        derive([service])
    (problem,) = error.value.problems
    assert problem.startswith(f"{spec(told).where}: version 2 of 'versioned.told' cannot be read")
    assert "add @upcasts(2, Told)" in problem
    assert "or oldest=3 if no stream holds it" in problem
    upcasts(2, told)(step)
    derive([service])


def taking(told: type[Struct]) -> Callable[..., Any]:
    def take(it: Any) -> None: ...

    take.__annotations__["it"] = told
    return take
