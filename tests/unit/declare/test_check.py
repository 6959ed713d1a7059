"""Each contradiction between declarations is one sentence that names the line to change."""

from __future__ import annotations

import re
from typing import Any

import pytest
from msgspec import Struct

from jetmesh import Duration, Policy, Service, derive, event
from jetmesh.declare import StreamTuning
from jetmesh.errors import TopologyError


@event("a.happened", key="id")
class A(Struct, frozen=True):
    id: str


@event("b.happened", key="id")
class B(Struct, frozen=True):
    id: str


@event("c.happened", key="id")
class C(Struct, frozen=True):
    id: str


@event("orders.validated", key="id", decision="orders.*")
class Validated(Struct, frozen=True):
    id: str


@event("orders.rejected", key="id", decision="orders.*")
class Rejected(Struct, frozen=True):
    id: str


@event("orders.shipped", key="id")
class Shipped(Struct, frozen=True):
    id: str


class Settings(Struct, frozen=True):
    ceiling: int = 1


def handling(named: str, takes: type[Struct], gives: Any = None, **options: Any) -> Service:
    """A service with one handler from `takes` to `gives`."""
    service = Service(named)

    def handle(event): ...  # type: ignore[no-untyped-def]  # annotated in the next line

    handle.__annotations__.update({"event": takes, "return": gives})
    service.on(takes, **options)(handle)
    return service


def problems(*services: Service, **settings: Any) -> list[str]:
    with pytest.raises(TopologyError) as raised:
        derive(services, **settings)
    assert str(raised.value) == "\n".join(raised.value.problems)
    return raised.value.problems


def line_of(problem: str) -> str:
    """The line of this file that a problem says to change."""
    found = re.match(re.escape(__file__) + r":(\d+): ", problem)
    assert found is not None, f"{problem} names no line"
    with open(__file__, encoding="utf-8") as source:  # noqa: PTH123 - reads as the error does
        return source.read().splitlines()[int(found[1]) - 1]


def test_two_services_of_one_name() -> None:
    found = problems(Service("twin"), Service("twin"))
    assert all("2 services are named 'twin'" in problem for problem in found)
    assert all('Service("twin")' in line_of(problem) for problem in found)


def test_two_services_that_own_one_event() -> None:
    found = problems(handling("one", A, C), handling("two", B, C))
    assert len(found) == 2
    assert "one publishes 'c.happened', which two publishes too" in found[0]
    assert "def handle" in line_of(found[0])


def test_two_handlers_of_one_service_may_publish_one_event() -> None:
    service = handling("one", A, C)

    @service.on(B)
    def other(event: B) -> C:
        raise NotImplementedError

    assert derive([service]).owners


def test_two_durables_of_one_name_on_one_stream() -> None:
    """`a-b` with `c` and `a` with `b-c` both give `a-b-c`."""
    found = problems(handling("x-y", A, name="z"), handling("x", A, name="y-z"))
    assert all("also named 'x-y-z'" in problem for problem in found)
    assert len(found) == 2


def test_two_durables_of_one_name_on_two_streams_are_two() -> None:
    derive([handling("x-y", A, name="z"), handling("x", B, name="y-z")])


def test_a_slot_shares_its_name_with_no_other_service_on_whatever_stream() -> None:
    """It is granted by its name alone."""

    class board:  # noqa: N801 - as a handler can be called
        def apply(self, event: object, record: object) -> None: ...

    reader = Service("x-y")
    reader.read_model(board, events=[A])
    (problem,) = problems(reader, handling("x", B, name="y-board-1"))
    assert problem == (
        "x-y.board: another read model or handler has the name of its slot 'x-y-board-1'; "
        "rename one."
    )
    derive([reader, handling("x", B, name="y-board")])


def test_two_event_types_of_one_subject() -> None:
    @event("a.happened", key="id")
    class Copy(Struct, frozen=True):
        id: str

    found = problems(handling("one", A), handling("two", Copy))
    assert any("Copy has the subject 'a.happened', which A" in problem for problem in found)
    assert all("@event" in line_of(problem) for problem in found)


def test_a_subject_that_reads_like_another_with_a_key() -> None:
    @event("a.happened.twice", key="id")
    class Twice(Struct, frozen=True):
        id: str

    (problem,) = problems(handling("one", A), handling("two", Twice))
    assert "'a.happened.twice' reads like 'a.happened' with a key" in problem
    assert "a.happened.twice" in line_of(problem)


@pytest.mark.parametrize("domain", ["deadletters", "refusals"])
def test_a_domain_that_belongs_to_the_mesh(domain: str) -> None:
    @event(f"{domain}.written")
    class Written(Struct, frozen=True):
        text: str

    (problem,) = problems(handling("one", Written))
    assert "belongs to the mesh" in problem


def test_two_domains_that_would_share_a_stream() -> None:
    @event("shop-news.told")
    class Dashed(Struct, frozen=True):
        text: str

    @event("shop_news.heard")
    class Underscored(Struct, frozen=True):
        text: str

    (problem,) = problems(handling("one", Dashed), handling("two", Underscored))
    assert "would share the stream SHOP_NEWS" in problem
    assert "@event" in line_of(problem)


def test_a_decision_that_also_matches_another_services_event() -> None:
    found = problems(handling("validation", A, Validated | Rejected), handling("ship", B, Shipped))
    assert len(found) == 2, "it collides with both outcomes"
    assert "'orders.shipped' is matched by the decision 'orders.*' of" in found[0]
    assert "add decision='orders.*' if it is an outcome too" in found[0]
    assert "subject 'orders.verdict.validated', decision 'orders.verdict.*'" in found[1]
    assert "orders.shipped" in line_of(found[0])


def test_a_decision_that_also_matches_an_event_nobody_owns() -> None:
    """Whoever publishes it, outside, would use up the key's only outcome."""
    found = problems(handling("validation", A, Validated), handling("reader", Shipped))
    assert len(found) == 1
    assert "'orders.shipped' is matched by the decision" in found[0]


@event("orders.verdict.sound", key="id", decision="orders.verdict.*")
class Sound(Struct, frozen=True):
    id: str


@event("orders.verdict.unsound", key="id", decision="orders.verdict.*")
class Unsound(Struct, frozen=True):
    id: str


def test_a_decision_with_a_token_of_its_own_leaves_its_domain_open() -> None:
    """What the error above tells to do works."""
    topology = derive([handling("validation", A, Sound | Unsound), handling("ship", B, Shipped)])
    assert [stream.name for stream in topology.streams if stream.name == "ORDERS"] == ["ORDERS"]


def test_what_decides_nothing_among_the_outcomes_is_told_to_leave() -> None:
    @event("orders.verdict.read", key="id")
    class Read(Struct, frozen=True):
        id: str

    found = problems(handling("validation", A, Sound), handling("reader", Read))
    assert "or give it a subject outside 'orders.verdict'" in found[0]


def test_a_race_is_one_for_every_event_of_its_decision() -> None:
    @event("race.won", key="id", decision="race.*", race=True)
    class Won(Struct, frozen=True):
        id: str

    @event("race.called-off", key="id", decision="race.*")
    class CalledOff(Struct, frozen=True):
        id: str

    (problem,) = problems(handling("one", A, Won | CalledOff))
    assert "CalledOff says nothing of a race, but Won" in problem
    assert "race.called-off" in line_of(problem)


def test_who_reacts_to_losing_must_know_every_outcome() -> None:
    service = handling("one", A, Validated, name="one")

    @service.on(B)
    def other(event: B) -> Rejected:
        raise NotImplementedError

    @service.lost(other)
    def react(mine: Rejected | None, stored: Rejected) -> None: ...

    (problem,) = problems(service)
    assert "react cannot take Validated, but that may be what decided 'orders.*'" in problem
    assert "@service.lost" in line_of(problem)


def test_who_reacts_to_losing_is_supplied_like_a_handler() -> None:
    service = Service("one")

    @service.on(A)
    def decide(event: A) -> Validated:
        raise NotImplementedError

    @service.lost(decide)
    def react(mine: Validated | None, stored: Validated, unknown: Settings) -> None: ...

    (problem,) = problems(service)
    assert "parameter 'unknown' asks for Settings, which one does not supply" in problem


def test_what_a_reaction_publishes_is_its_services_own() -> None:
    service = Service("one")

    @service.on(A)
    def decide(event: A) -> Validated:
        raise NotImplementedError

    @service.lost(decide)
    def react(mine: Validated | None, stored: Validated) -> C:
        raise NotImplementedError

    found = problems(service, handling("two", B, C))
    assert "two publishes 'c.happened', which one publishes too" in "".join(found)


def test_a_decision_shared_by_two_services() -> None:
    found = problems(handling("one", A, Validated), handling("two", B, Rejected))
    assert len(found) == 1
    assert "one publishes 'orders.validated'" in found[0]
    assert "also matches 'orders.rejected' of two; one service makes a decision" in found[0]
    assert "orders.validated" in line_of(found[0])


def test_an_outcome_of_a_decision_that_nobody_publishes() -> None:
    """Then somebody outside would have to publish it, and nothing guards what they publish."""
    found = problems(handling("one", A, Validated), handling("two", Rejected))
    assert len(found) == 1
    assert "nobody here publishes 'orders.rejected'" in found[0]


def test_outcomes_that_come_from_outside_altogether_are_read_without_complaint() -> None:
    derive([handling("one", Validated), handling("two", Rejected)])


def test_two_decision_patterns_for_one_event() -> None:
    @event("orders.audited", key="id", decision="orders.audited")
    class Audited(Struct, frozen=True):
        id: str

    found = problems(handling("one", A, Validated | Audited))
    assert any("is matched by the decision 'orders.*'" in problem for problem in found)


def test_a_subject_without_a_key_that_reads_like_an_outcome_with_one() -> None:
    """`orders.audit.p-1` is what the filter `orders.*.p-1` of the decision finds."""

    @event("orders.audit.done")
    class Done(Struct, frozen=True):
        text: str

    (problem,) = problems(handling("one", A, Validated), handling("two", B, Done))
    assert "'orders.audit.done' reads like an outcome of the decision 'orders.*'" in problem
    assert "orders.audit.done" in line_of(problem)


def test_an_undeclared_cycle() -> None:
    found = problems(handling("one", A, B), handling("two", B, C), handling("three", C, A))
    assert len(found) == 3, "any of the three lines may be the one to change"
    assert "a.happened → one.handle → b.happened → two.handle → c.happened" in found[0]
    assert "pass cycle=True" in found[0]
    assert "def handle" in line_of(found[0])


def test_a_handler_whose_output_is_its_input() -> None:
    (problem,) = problems(handling("echo", A, A))
    assert "a.happened → echo.handle" in problem


def test_a_cycle_declared_on_purpose_is_taken() -> None:
    derive([handling("one", A, B), handling("two", B, A, cycle=True)])


def test_a_declared_cycle_does_not_excuse_another() -> None:
    found = problems(
        handling("one", A, B), handling("two", B, A, cycle=True), handling("echo", C, C)
    )
    assert len(found) == 1
    assert "echo.handle" in found[0]


def test_a_chain_that_ends_is_no_cycle() -> None:
    derive([handling("one", A, B), handling("two", B, C), handling("three", C)])


def test_a_parameter_that_nothing_supplies() -> None:
    service = Service("payments")

    @service.on(A)
    async def charge(event: A, settings: Settings) -> None: ...

    (problem,) = problems(service)
    assert "parameter 'settings' asks for Settings, which payments does not supply" in problem
    assert "@service.on(A)" in line_of(problem)


def test_a_parameter_that_settings_supply() -> None:
    service = Service("payments", settings=Settings)

    @service.on(A)
    async def charge(event: A, settings: Settings) -> None: ...

    derive([service])


def test_a_policy_from_settings_that_cannot_work() -> None:
    (problem,) = problems(
        handling("one", A), policies={("one", "handle"): Policy(timeout=Duration(60))}
    )
    assert "one.handle: ack_wait 30s is shorter than timeout 1m" in problem


def test_tuning_of_a_stream_that_does_not_exist() -> None:
    (problem,) = problems(handling("one", A), streams={"ORDRES": StreamTuning()})
    assert (
        problem == "settings: streams.ORDRES is not a stream; there are A, AUDIT, DEADLETTERS, "
        "LANES, REFUSALS."
    )


@pytest.mark.parametrize("limit", [{"max_age": Duration(86_400)}, {"max_bytes": 1_000_000}])
def test_lanes_that_would_forget_what_waits_for_its_time(limit: Any) -> None:
    (problem,) = problems(handling("one", A), streams={"LANES": StreamTuning(**limit)})
    assert problem == (
        "settings: streams.LANES cannot have a max_age or max_bytes: what waits there for its next "
        "attempt, or for its time, would be forgotten."
    )


def test_events_kept_for_less_time_than_their_ids() -> None:
    (problem,) = problems(handling("one", A), streams={"A": StreamTuning(max_age=Duration(60))})
    assert problem.startswith("settings: streams.A.max_age 1m is below its duplicate_window 2m")


def test_every_problem_is_said_at_once() -> None:
    found = problems(
        handling("one", A, B), handling("two", B, A), handling("three", C, B), Service("three")
    )
    assert len(found) >= 5
