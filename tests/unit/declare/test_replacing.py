"""An event that gives way to another: what is recorded, who publishes the twin, what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from msgspec import Struct

from jetmesh import Service, derive, event, replaces
from jetmesh.declare import EventSpec, spec_of
from jetmesh.errors import DeclarationError, TopologyError

HERE = re.escape(__file__) + r":\d+: "


@event("replaced-in.placed", key="id")
class Placed(Struct, frozen=True):
    id: str


class Old(Struct, frozen=True):
    id: str


class New(Struct, frozen=True):
    id: str


def spec(of: type[Struct]) -> EventSpec:
    found = spec_of(of)
    assert found is not None
    return found


def declared(
    subject: str = "replaced-by.agreed", decision: str | None = None
) -> tuple[Any, Any, Callable[..., Any]]:
    """An event that decides, what takes its place, and what makes the one of the other."""

    @event("replaced.agreed", key="id", decision="replaced.*")
    class Agreed(Old, frozen=True): ...

    @event(subject, key="id", decision=decision)
    class Settled(New, frozen=True): ...

    def settled(old: Any) -> Any:
        return Settled(old.id)

    settled.__annotations__ |= {"old": Agreed, "return": Settled}
    return Agreed, Settled, settled


def deciding(agreed: Any) -> Service:
    def decide(placed: Placed) -> Any:
        return agreed(placed.id)

    decide.__annotations__["return"] = agreed
    service = Service("replacing")
    service.on(Placed)(decide)
    return service


def replace(agreed: Any, settled: Any, **more: str) -> None:
    replaces(agreed, **{"reason": "it says too little", "until": "2027-03-01", **more})(settled)


def test_the_record_stands_on_the_declaration_of_the_event_that_goes() -> None:
    agreed, settled, function = declared()
    assert replaces(agreed, reason=" it says too little ", until="2027-03-01")(function) is function
    (record,) = spec(agreed).replacements
    assert (record.subject, record.reason) == ("replaced-by.agreed", "it says too little")
    assert (record.until, record.signature.name) == (date(2027, 3, 1), "settled")
    assert spec(settled).replacements == []


def test_whoever_makes_the_old_event_follows_it_with_the_new_one_from_the_first_stored_one_on() -> (
    None
):
    agreed, settled, function = declared()
    replace(agreed, function)
    service = deciding(agreed)
    decide, follow = service.handlers
    assert (decide.name, follow.name, follow.start) == ("decide", "settled", "all")
    assert (follow.input, follow.returns) == (spec(agreed), (spec(settled),))
    assert derive([service]).owners[spec(settled)] == "replacing"


def test_a_service_that_only_reads_the_old_event_publishes_nothing() -> None:
    agreed, _, function = declared()
    replace(agreed, function)

    def read(it: Any) -> None: ...

    read.__annotations__["it"] = agreed
    service = Service("reading")
    service.on(agreed)(read)
    assert [each.name for each in service.handlers] == ["read"]
    derive([service])


def test_several_handlers_that_make_it_are_followed_once() -> None:
    agreed, _, function = declared()
    replace(agreed, function)
    service = deciding(agreed)

    def decide_too(placed: Placed) -> Any: ...

    decide_too.__annotations__["return"] = agreed | None
    service.on(Placed)(decide_too)
    assert [each.name for each in service.handlers] == ["decide", "settled", "decide_too"]


def test_a_service_declared_before_the_record_is_named() -> None:
    agreed, _, function = declared()
    service = deciding(agreed)
    replace(agreed, function)
    with pytest.raises(TopologyError) as error:
        derive([service])
    (problem,) = error.value.problems
    assert problem.startswith(spec(agreed).replacements[0].where)
    assert "replacing does not publish it, because it was declared before" in problem


@pytest.mark.parametrize(
    ("subject", "decision"),
    [("replaced.settled", None), ("replaced.settled", "replaced.*")],
    ids=["in its reach", "a part of it"],
)
def test_a_twin_that_the_guard_would_refuse_is_refused_at_once(
    subject: str, decision: str | None
) -> None:
    agreed, _, function = declared(subject, decision)
    with pytest.raises(DeclarationError, match=HERE + "'replaced.settled' cannot follow") as error:
        replace(agreed, function)
    assert error.value.remedy.startswith("Give Settled a subject in another domain")


def test_a_twin_may_decide_in_its_own_domain() -> None:
    agreed, settled, function = declared("replaced-by.verdict.agreed", "replaced-by.verdict.*")
    replace(agreed, function)
    assert derive([deciding(agreed)]).owners[spec(settled)] == "replacing"


@pytest.mark.parametrize("until", ["soon", "", "01.03.2027", "2027-02-30"])
def test_a_day_that_is_none_is_refused(until: str) -> None:
    agreed, _, function = declared()
    with pytest.raises(DeclarationError, match=HERE + r".* is no day\."):
        replace(agreed, function, until=until)
    assert spec(agreed).replacements == []


def test_who_listens_is_told_why() -> None:
    agreed, _, function = declared()
    with pytest.raises(DeclarationError, match=HERE + "nobody is told why"):
        replace(agreed, function, reason="  ")


def test_what_does_not_make_one_other_event_of_the_old_one_is_refused() -> None:
    agreed, settled, _ = declared()

    def same(old: Any) -> Any: ...

    def none(old: Any) -> None: ...

    def two(old: Any, more: int) -> Any: ...

    async def later(old: Any) -> Any: ...

    for each, result in ((same, agreed), (none, None), (two, settled), (later, settled)):
        each.__annotations__ |= {"old": agreed, "return": result}
        with pytest.raises(DeclarationError, match="does not make one other event") as error:
            replace(agreed, each)
        assert error.value.remedy.startswith(f"Write def {each.__name__}(old: Agreed)")


def test_it_follows_the_event_that_it_names() -> None:
    agreed, _, function = declared()
    other, _, _ = declared()
    del agreed
    with pytest.raises(DeclarationError, match="is declared on Agreed, but its first parameter"):
        replace(other, function)
