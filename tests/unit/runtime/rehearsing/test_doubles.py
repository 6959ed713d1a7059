"""What stands in for a service's resources, and a service that declares nothing of the kind."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from jetmesh import Delivery, Rehearsed, Service
from jetmesh.declare import derive
from jetmesh.errors import DeclarationError, TopologyError, UsageError
from jetmesh.runtime.rehearsing.doubles import require_doubles
from tests.unit.runtime.rehearsing.shelf import Asked, Found, Missing, known, rehearsed


class Lift:
    """Fetches; nobody should."""

    async def fetch(self, asked: Asked) -> int:
        raise AssertionError(asked)


def with_lift() -> Service:
    service = Service("shelf-service")

    @service.resource
    async def lift() -> AsyncIterator[Lift]:
        yield Lift()

    @service.on(Asked)
    async def find(asked: Asked, delivery: Delivery, lift: Lift) -> Found | Missing:
        amount = await lift.fetch(asked)
        return Found(asked.id, amount) if amount else Missing(asked.id)

    return service


class Recalled(Lift):
    def __init__(self, past: Rehearsed) -> None:
        self.past = past

    async def fetch(self, asked: Asked) -> int:
        assert self.past.event == asked
        then = self.past.outcome(Found)
        return then.amount if then else 0


async def test_a_double_answers_from_what_really_came_of_the_message() -> None:
    service = with_lift()

    @service.rehearsal
    def recalled(past: Rehearsed) -> Lift:
        return Recalled(past)

    report = await rehearsed(
        service,
        known(Asked("b-1"), Found("b-1", 7), sequence=1),
        known(Asked("b-2"), Missing("b-2"), sequence=2),
    )
    assert (report.same, report.groups) == (2, [])


def test_a_service_without_doubles_is_refused_in_a_sentence_with_its_remedy() -> None:
    service = with_lift()
    with pytest.raises(UsageError) as told:
        require_doubles(service, service.handlers)
    assert told.value.message == (
        "shelf-service declares no double of Lift, which find asks for: a rehearsal would have to "
        "use the real one."
    )
    assert "@service.rehearsal" in told.value.remedy


def test_a_double_of_nothing_that_the_service_has_is_refused() -> None:
    service = Service("shelf-service")

    @service.rehearsal
    def stands(past: Rehearsed) -> Lift:
        return Recalled(past)

    with pytest.raises(TopologyError, match="stands in for Lift, which is no resource"):
        derive([service])


def test_two_doubles_of_one_type_are_refused() -> None:
    service = with_lift()
    for _ in range(2):

        @service.rehearsal
        def stands(past: Rehearsed) -> Lift:
            return Recalled(past)

    with pytest.raises(TopologyError, match="several doubles of Lift"):
        derive([service])


def test_a_double_that_asks_for_something_real_is_refused() -> None:
    service = with_lift()

    @service.rehearsal
    def stands(real: Lift) -> Lift:
        return real

    with pytest.raises(TopologyError, match="'real' of a double must be Rehearsed"):
        derive([service])


def test_a_double_of_nothing_at_all_is_refused() -> None:
    service = Service("shelf-service")

    def stands(past: Rehearsed) -> None: ...

    with pytest.raises(DeclarationError, match="must return what it stands in for"):
        service.rehearsal(stands)
