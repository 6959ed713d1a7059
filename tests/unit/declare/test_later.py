"""Deadlines as handlers declare and return them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast

import pytest
from msgspec import Struct

from jetmesh import Cancel, Later, Service, days, derive, event, hours, minutes, seconds, state
from jetmesh.errors import ContractViolation, DeclarationError, TopologyError

NOW = datetime(2026, 11, 30, 3, tzinfo=UTC)


@event("tickets.opened", key="id")
class Opened(Struct, frozen=True):
    id: str


@event("tickets.closed", key="id")
class Closed(Struct, frozen=True):
    id: str


@event("tickets.overdue", key="id")
class Overdue(Struct, frozen=True):
    id: str


@event("tickets.counted")
class Counted(Struct, frozen=True):
    number: int


@event("verdicts.lapsed", key="id", decision="verdicts.*")
class Lapsed(Struct, frozen=True):
    id: str


@state("tickets.desk", key="id")
class Ticket(Struct, frozen=True):
    id: str


def test_what_comes_later_belongs_to_the_topology() -> None:
    service = Service("desk")

    @service.on(Opened)
    def remind(opened: Opened) -> Later[Overdue]:
        return Later(Overdue(opened.id), after=minutes(15))

    @service.on(Closed)
    def forget(closed: Closed) -> Cancel[Overdue]:
        return Cancel(Overdue, closed.id)

    reminding, forgetting = service.handlers
    topology = derive([service])

    assert reminding.returns == ()
    assert [spec.type for spec in reminding.outputs] == [Overdue]
    assert [spec.type for spec in forgetting.deadlines.cancels] == [Overdue]
    assert forgetting.outputs == ()
    assert {spec.type: owner for spec, owner in topology.owners.items()} == {Overdue: "desk"}


def test_a_handler_returns_a_state_events_and_deadlines() -> None:
    service = Service("desk")

    @service.on(Opened, state=Ticket)
    def remind(
        opened: Opened, ticket: Ticket | None
    ) -> tuple[Ticket, Closed | None, Later[Overdue] | Cancel[Overdue] | None]:
        return Ticket(opened.id), None, None

    (handler,) = service.handlers

    assert [spec.type for spec in handler.returns] == [Closed]
    assert [spec.type for spec in handler.deadlines.later] == [Overdue]
    assert [spec.type for spec in handler.deadlines.cancels] == [Overdue]


def test_what_comes_later_may_not_lead_back_unless_that_is_meant() -> None:
    service = Service("desk")

    @service.on(Overdue)
    def again(overdue: Overdue) -> Later[Overdue]:
        return Later(overdue, after=days(1))

    with pytest.raises(TopologyError, match="lead back to its input"):
        derive([service])


def _declared(annotation: Any) -> None:
    def handle(opened: Opened) -> None: ...

    handle.__annotations__["return"] = annotation
    Service("desk").on(Opened)(handle)


@pytest.mark.parametrize(
    ("annotation", "why"),
    [
        (Later, "Later of no event"),
        (Cancel, "Cancel of no event"),
        (Later[Counted], "Counted.*has no key"),
        (Cancel[Counted], "Counted.*has no key"),
        (Later[Ticket], "which is a state"),
        (cast("Any", Later)[str], "is not an event"),
    ],
)
def test_a_deadline_that_cannot_be_is_refused_at_import(annotation: Any, why: str) -> None:
    with pytest.raises(DeclarationError, match=why):
        _declared(annotation)


def test_the_outcome_of_a_decision_may_come_later_where_no_state_decides() -> None:
    _declared(Later[Lapsed])

    with pytest.raises(DeclarationError, match=r"Lapsed.*which decides"):

        @Service("desk").on(Opened, state=Ticket)
        def remind(opened: Opened, ticket: Ticket | None) -> tuple[Ticket, Later[Lapsed]]:
            raise NotImplementedError


def test_what_is_cancelled_is_set_in_the_same_service() -> None:
    service, other = Service("desk"), Service("other")

    @other.on(Opened)
    def remind(opened: Opened) -> Later[Overdue]:
        raise NotImplementedError

    @service.on(Closed)
    def forget(closed: Closed) -> Cancel[Overdue]:
        raise NotImplementedError

    with pytest.raises(TopologyError, match=r"forget cancels Overdue, of which no handler of desk"):
        derive([service, other])


def test_deadlines_of_an_event_are_kept_in_one_place() -> None:
    service = Service("desk")

    @service.on(Opened, state=Ticket)
    def remind(opened: Opened, ticket: Ticket | None) -> tuple[Ticket, Later[Overdue]]:
        raise NotImplementedError

    @service.on(Closed)
    def forget(closed: Closed) -> Cancel[Overdue]:
        raise NotImplementedError

    with pytest.raises(TopologyError, match="neither finds those of the other"):
        derive([service])


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({}, "either after or at"),
        ({"after": minutes(1), "at": NOW}, "either after or at"),
        ({"after": seconds(-0.001)}, "negative after"),
        ({"at": datetime(2026, 11, 30)}, "without a time zone"),  # noqa: DTZ001 - a naive one is meant
        ({"after": minutes(1), "name": "n" * 201}, "200"),
    ],
)
def test_a_deadline_without_a_time_is_none(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(ContractViolation, match=why):
        Later(Overdue("t-1"), **wrong)


def test_a_deadline_has_an_event_with_a_key() -> None:
    with pytest.raises(ContractViolation, match="no event with a key"):
        Later(Counted(1), after=minutes(1))
    with pytest.raises(ContractViolation, match="no event with a key"):
        Cancel(Ticket, "t-1")
    with pytest.raises(ContractViolation, match="key"):
        Cancel(Overdue, "")


def test_when_it_is_due_depends_on_when_it_was_returned() -> None:
    berlin = timezone(timedelta(hours=1))

    assert Later(Overdue("t-1"), after=hours(2)).due(NOW) == NOW + timedelta(hours=2)
    assert Later(Overdue("t-1"), at=NOW.astimezone(berlin)).due(NOW).utcoffset() == timedelta(0)
    assert Later(Overdue("t-1"), at=NOW - days(3)).due(NOW) == NOW - timedelta(days=3)
    for never in (days(100_000), days(90_000), timedelta.max):
        with pytest.raises(ContractViolation, match="2262"):
            Later(Overdue("t-1"), after=never).due(NOW)
