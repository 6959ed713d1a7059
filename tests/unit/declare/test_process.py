"""What can be wrong with the steps of a process, each told at import."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, StrEnum
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, Struct, defstruct

from jetmesh import Cancel, Forget, Later, Service, derive, event, state
from jetmesh.declare import StateSpec, spec_of
from jetmesh.declare.process import Process
from jetmesh.errors import DeclarationError, TopologyError


@event("ordering.placed", key="order_id")
class Placed(Struct, frozen=True):
    order_id: str


@event("ordering.paid", key="order_id")
class Paid(Struct, frozen=True):
    order_id: str


@event("ordering.closed", key="order_id")
class Closed(Struct, frozen=True):
    order_id: str


Step = Literal["waiting", "paid", "closed"]
FOREVER = {"waiting": "nobody is in a hurry", "paid": "somebody looks every day"}


def declared_state(step: Any = Step, **how: Any) -> type[Struct]:
    said = {"key": "order_id", "steps": "step", "ends": ("closed",), "forever": FOREVER, **how}
    fields = [("order_id", str), ("step", step)]
    return state("ordering.orders", **said)(defstruct("Order", fields, frozen=True))


def taking(takes: Any, order: Any, returns: Any = None) -> Callable[..., Any]:
    def handle(event: Any, known: Any) -> Any:
        raise NotImplementedError

    handle.__annotations__ = {"event": takes, "known": order | None, "return": returns or order}
    handle.__name__ = f"on_{takes.__name__.lower()}"
    return handle


def process_of(order: Any) -> Process:
    spec = spec_of(order)
    assert isinstance(spec, StateSpec)
    assert spec.process is not None
    return spec.process


def service_of(order: Any, **moves: dict[Any, Any]) -> Service:
    service = Service("ordering")
    events = {"placed": Placed, "paid": Paid, "closed": Closed}
    for name, made in moves.items():
        takes = events[name]
        how = {"otherwise": "ignore", **made}
        service.on(takes, state=order, **how)(taking(takes, order))
    return service


SOUND: dict[str, dict[Any, Any]] = {
    "placed": {"moves": {None: "waiting"}},
    "paid": {"moves": {"waiting": "paid"}},
    "closed": {"moves": {"waiting": "closed", "paid": ("closed",)}},
}


def test_a_sound_process_knows_its_steps_in_the_order_in_which_they_are_written() -> None:
    order = declared_state()
    topology = derive([service_of(order, **SOUND)])
    assert process_of(order).steps == ("waiting", "paid", "closed")
    assert len(topology.handlers) == 3


class Texts(StrEnum):
    WAITING = "waiting"
    PAID = "paid"
    CLOSED = "closed"


class Plain(Enum):
    WAITING = "waiting"
    PAID = "paid"
    CLOSED = "closed"


class Numbers(Enum):
    WAITING = 1


@pytest.mark.parametrize("kind", [Texts, Plain, Annotated[Step, Meta(description="Where.")]])
def test_steps_are_a_literal_or_an_enum(kind: Any) -> None:
    order = declared_state(kind)
    assert process_of(order).steps == ("waiting", "paid", "closed")
    made: Any = order
    member = getattr(kind, "PAID", "paid")
    assert process_of(order).step_of(made("o-1", member)) == "paid"
    assert process_of(order).step_of(None) is None


def test_members_of_an_enum_name_steps_in_moves() -> None:
    order = declared_state(Plain, ends=(Plain.CLOSED,), forever={Plain.WAITING: "x", "paid": "y"})
    moves: dict[str, dict[Any, Any]] = {
        "placed": {"moves": {None: Plain.WAITING}},
        "paid": {"moves": {Plain.WAITING: (Plain.PAID, Plain.CLOSED)}},
        "closed": {"moves": {Plain.PAID: Plain.CLOSED}},
    }
    derive([service_of(order, **moves)])


@pytest.mark.parametrize(
    ("step", "how", "why"),
    [
        (Step, {"steps": "stage"}, "has no field 'stage' for its steps"),
        (str, {}, "names no steps"),
        (Numbers, {"ends": (), "forever": {}}, "names no steps"),
        (Step, {"ends": ("done",)}, "has in ends= the step 'done', which is no step"),
        (Step, {"undone": ("done",)}, "has in undone= the step 'done', which is no step"),
        (Step, {"former": ("done",)}, "has in former= the step 'done', which is no step"),
        (Step, {"forever": {"done": "x"}}, "has in forever= the step 'done', which is no step"),
        (Step, {"forever": "waiting"}, "forever='waiting', which is no mapping"),
        (Step, {"forever": {"waiting": " "}}, "nobody is told why"),
        (Step, {"steps": ""}, "has ends= and no steps"),
    ],
)
def test_what_is_said_of_steps_is_checked(step: Any, how: dict[str, Any], why: str) -> None:
    with pytest.raises(DeclarationError) as told:
        declared_state(step, **how)
    assert why in told.value.message
    assert __file__ in told.value.message
    assert told.value.remedy


@pytest.mark.parametrize("what", ["ends", "undone", "former"])
@pytest.mark.parametrize(
    ("step", "one", "written"),
    [
        (Step, "closed", "'closed'"),
        (Texts, Texts.CLOSED, "Texts.CLOSED"),
        (Plain, Plain.CLOSED, "Plain.CLOSED"),
    ],
)
def test_one_step_where_several_are_listed_is_not_read_letter_by_letter(
    step: Any, one: Any, written: str, what: str
) -> None:
    with pytest.raises(DeclarationError) as told:
        declared_state(step, **{what: one})
    assert f"state Order has {what}={written}, which is one where" in told.value.message
    assert told.value.remedy == f"Write {what}=({written},)."


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({}, "does not say which moves it makes"),
        ({"moves": {}}, "does not say which moves it makes"),
        ({"moves": "waiting"}, "has moves='waiting', which is no mapping"),
        ({"moves": {"waitin": "paid"}, "otherwise": "ignore"}, "moves 'waitin', which is no step"),
        ({"moves": {"waiting": "pai"}, "otherwise": "ignore"}, "moves 'pai', which is no step"),
        ({"moves": {"waiting": "paid"}, "otherwise": "wait"}, "has otherwise='wait'"),
        (
            {"moves": {"waiting": "paid"}},
            "what becomes of Paid in 'paid', 'closed' and before the process begins (None)",
        ),
        (
            {"moves": {None: "paid", "waiting": "paid", "paid": "paid"}},
            "what becomes of Paid in 'closed'",
        ),
    ],
)
def test_a_handler_says_where_its_event_is_expected_and_what_it_is_elsewhere(
    how: dict[str, Any], why: str
) -> None:
    order = declared_state()
    with pytest.raises(DeclarationError) as told:
        Service("ordering").on(Paid, state=order, **how)(taking(Paid, order))
    assert why in told.value.message
    assert f"{__file__}:" in told.value.message
    assert told.value.remedy


def test_a_handler_that_never_begins_a_process_is_given_its_state_and_never_none() -> None:
    order = declared_state()

    def handle(event: Any, known: Any) -> Any:
        raise NotImplementedError

    handle.__annotations__ = {"event": Paid, "known": order, "return": order}
    service = Service("ordering")
    service.on(Paid, state=order, moves={"waiting": "paid"}, otherwise="ignore")(handle)
    with pytest.raises(DeclarationError, match="does not take the Order that it remembers"):
        service.on(Paid, state=order, moves={None: "waiting"}, otherwise="ignore")(handle)


def test_moves_are_made_of_steps_alone() -> None:
    @state("ordering.plain", key="order_id")
    class NoSteps(Struct, frozen=True):
        order_id: str

    for remembered in (NoSteps, None):
        with pytest.raises(DeclarationError, match="remembers no state with steps"):
            Service("ordering").on(Paid, state=remembered, moves={None: "x"})(
                taking(Paid, NoSteps) if remembered else _alone
            )


def _alone(event: Paid) -> None:
    raise NotImplementedError


@pytest.mark.parametrize(
    ("change", "state_says", "why"),
    [
        ({"closed": None}, {}, "nothing leaves the step 'paid'"),
        ({"closed": None}, {}, "nothing leads to the step 'closed'"),
        ({"paid": {"moves": {"waiting": "closed"}}}, {}, "nothing leads to the step 'paid'"),
        ({"placed": None}, {}, "no handler begins the process ordering.orders"),
        (
            {"closed": {"moves": {"waiting": "closed", "paid": "paid"}}},
            {},
            "leaves the step 'paid'",
        ),
    ],
)
def test_a_step_that_nothing_leaves_or_leads_to_is_told_at_its_line(
    change: dict[str, Any], state_says: dict[str, Any], why: str
) -> None:
    order = declared_state(**state_says)
    moves = {name: made for name, made in {**SOUND, **change}.items() if made}
    with pytest.raises(TopologyError) as told:
        derive([service_of(order, **moves)])
    assert why in str(told.value)
    assert f"{__file__}:" in str(told.value)


@event("ordering.overdue", key="order_id")
class Overdue(Struct, frozen=True):
    order_id: str


@event("ordering.reminded", key="order_id")
class Reminded(Struct, frozen=True):
    order_id: str


def timed(
    *,
    begins: Any = Later[Overdue],
    pays: Any = Later[Overdue],
    overdue: Any = None,
    expects: tuple[str, ...] = ("waiting", "paid"),
) -> Service:
    """Without a step that may wait for ever."""
    order = declared_state(forever={})
    service = Service("ordering")

    def on(takes: Any, moves: dict[Any, Any], more: Any) -> None:
        returns = tuple[order, more] if more else order  # type: ignore[valid-type] # of one test
        function = taking(takes, order, returns)
        service.on(takes, state=order, moves=moves, otherwise="ignore", cycle=True)(function)

    on(Placed, {None: "waiting"}, begins)
    on(Paid, {"waiting": "paid"}, pays)
    on(Closed, {"waiting": "closed", "paid": "closed"}, None)
    on(Overdue, overdue or dict.fromkeys(expects, "closed"), None)
    return service


def test_every_step_that_waits_has_a_deadline_whichever_way_leads_there() -> None:
    derive([timed()])
    derive([timed(pays=None)])  # that of the beginning waits on
    both: Any = Cancel[Overdue] | Later[Overdue]
    derive([timed(pays=both)])


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"begins": None}, "the step 'waiting' of ordering.orders waits for Closed, Overdue, Paid"),
        ({"begins": None}, "without a deadline when on_placed leads there"),
        ({"begins": Later[Reminded]}, "the step 'waiting'"),
        ({"pays": Cancel[Overdue]}, "the step 'paid' of ordering.orders waits for Closed, Overdue"),
        ({"expects": ("waiting",)}, "the step 'paid' of ordering.orders waits for Closed without"),
        (
            {"pays": None, "overdue": {"waiting": "paid", "paid": "closed"}},
            "without a deadline when on_overdue leads there",
        ),
    ],
)
def test_a_step_that_waits_without_a_deadline_is_told_and_who_leads_there(
    how: dict[str, Any], why: str
) -> None:
    with pytest.raises(TopologyError) as told:
        derive([timed(**how)])
    assert why in str(told.value)
    assert f"{__file__}:" in str(told.value)


def test_a_step_of_before_is_left_and_nothing_leads_there() -> None:
    order = declared_state(former=("paid",))
    moves = {**SOUND, "paid": {"moves": {"waiting": "closed"}}}
    derive([service_of(order, **moves)])


def test_a_process_may_end_in_being_forgotten() -> None:
    order = declared_state(ends=("closed", "paid"))
    service = service_of(order, placed=SOUND["placed"], paid=SOUND["paid"])
    both: Any = Forget | order
    moves = {"waiting": "closed", "paid": None}
    service.on(Closed, state=order, moves=moves, otherwise="ignore")(taking(Closed, order, both))
    derive([service])
