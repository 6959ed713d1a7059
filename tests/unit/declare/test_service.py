"""A handler's annotations are its declaration; what they cannot mean is refused on import."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import pytest
from msgspec import Struct

from jetmesh import Delivery, Duration, Policy, Record, Service, event
from jetmesh.declare import Handler
from jetmesh.errors import DeclarationError

HERE = re.escape(__file__) + r":\d+: "


@event("orders.placed", key="id")
class Placed(Struct, frozen=True):
    """Placed."""

    id: str


@event("orders.accepted", key="id")
class Accepted(Struct, frozen=True):
    """Accepted."""

    id: str


@event("orders.refused", key="id")
class Refused(Struct, frozen=True):
    """Refused."""

    id: str


class Settings(Struct, frozen=True):
    ceiling: int = 10


class Gateway:
    """Something to be opened and closed."""


class Board:
    """A read model."""

    def apply(self, event: Struct, record: Record) -> None: ...


Outcome = Accepted | Refused


def only(service: Service) -> Handler:
    (handler,) = service.handlers
    return handler


def test_a_handler_is_what_its_annotations_say() -> None:
    service = Service("validation", version="2.0.0")

    @service.on(Placed)
    def decide(order: Placed) -> Accepted | Refused:
        return Accepted(order.id)

    handler = only(service)
    assert (handler.service, handler.name, handler.durable) == (
        "validation",
        "decide",
        "validation-decide",
    )
    assert handler.input.type is Placed
    assert [spec.type for spec in handler.outputs] == [Accepted, Refused]
    assert not handler.is_async
    assert handler.function is decide, "the function stays a plain function for tests"
    assert handler.decision is None
    assert (handler.start, handler.cycle, handler.policy) == ("all", False, Policy())


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (None, []),
        (Accepted, [Accepted]),
        (Accepted | None, [Accepted]),
        (Outcome, [Accepted, Refused]),
        (list[Accepted], [Accepted]),
        (list[Accepted | Refused] | None, [Accepted, Refused]),
        (tuple[Accepted, ...], [Accepted]),
        (tuple[Accepted, Refused], [Accepted, Refused]),
        (Sequence[Accepted], [Accepted]),
        (Iterable[Refused | list[Accepted | Refused]], [Refused, Accepted]),
    ],
)
def test_outputs_are_found_in_unions_and_collections(returned: Any, expected: Any) -> None:
    service = Service("any")

    def handle(order: Placed): ...  # type: ignore[no-untyped-def]  # annotated in the next line

    handle.__annotations__["return"] = returned
    service.on(Placed)(handle)
    assert [spec.type for spec in only(service).outputs] == expected


def test_further_parameters_are_told_apart_by_their_types() -> None:
    service = Service("payments", settings=Settings)

    @service.on(Placed, policy=Policy(attempts=2), start="new", name="charge-it", cycle=True)
    async def charge(
        order: Placed, gateway: Gateway, delivery: Delivery, settings: Settings
    ) -> None: ...

    handler = only(service)
    assert handler.is_async
    assert handler.delivery == "delivery"
    assert handler.needs == {"gateway": Gateway, "settings": Settings}
    assert handler.durable == "payments-charge-it"
    assert (handler.policy.attempts, handler.start, handler.cycle) == (2, "new", True)


def test_a_resource_supplies_what_its_iterator_yields() -> None:
    service = Service("payments", settings=Settings)

    @service.resource
    async def gateway(settings: Settings) -> AsyncIterator[Gateway]:
        yield Gateway()

    (resource,) = service.resources
    assert (resource.type, resource.needs) == (Gateway, {"settings": Settings})


def test_a_read_model_folds_the_events_it_names() -> None:
    service = Service("board")
    service.read_model(Board, events=[Placed, Accepted])
    (model,) = service.read_models
    assert model.type is Board
    assert [spec.type for spec in model.events] == [Placed, Accepted]
    assert re.fullmatch(re.escape(__file__) + r":\d+", model.where)


def test_pages_ask_for_what_they_show() -> None:
    service = Service("board")

    @service.web
    def pages(board: Board) -> list[Any]:
        return []

    (page,) = service.pages
    assert page.needs == {"board": Board}


@pytest.mark.parametrize("name", ["", "Orders", "1st", "a.b", "a b", "a*", "-a", "x" * 64, "é"])
def test_a_service_name_that_no_durable_could_carry_is_refused(name: str) -> None:
    with pytest.raises(DeclarationError, match=HERE + ".*cannot name a service.*lower-case"):
        Service(name)


def test_a_service_remembers_its_line() -> None:
    service = Service("here")
    assert re.fullmatch(re.escape(__file__) + r":\d+", service.where)


@pytest.mark.parametrize("name", ["Decide", "a.b", "a b", "decide>", "x" * 64, "_hidden"])
def test_a_handler_name_that_is_no_durable_name_is_refused(name: str) -> None:
    service = Service("any")
    with pytest.raises(DeclarationError, match=HERE + ".*cannot name a handler.*name="):

        @service.on(Placed, name=name)
        def decide(order: Placed) -> None: ...


def test_a_lambda_cannot_be_a_handler_because_it_says_nothing() -> None:
    service = Service("any")
    with pytest.raises(DeclarationError, match=HERE + ".*has no annotation"):
        service.on(Placed)(lambda order: order)


def test_two_handlers_of_one_name_are_refused() -> None:
    service = Service("any")

    @service.on(Placed, name="decide")
    def one(order: Placed) -> None: ...

    with pytest.raises(DeclarationError, match=HERE + ".*has a handler 'decide' already"):

        @service.on(Accepted, name="decide")
        def two(order: Accepted) -> None: ...


def test_a_refused_handler_is_not_declared() -> None:
    service = Service("any")
    with pytest.raises(DeclarationError):

        @service.on(Placed)
        def decide(order: Placed) -> str:
            raise NotImplementedError

    assert service.handlers == []


def test_an_input_that_is_no_event_is_refused() -> None:
    service = Service("any")
    with pytest.raises(DeclarationError, match=HERE + "Settings is not an event.*@event"):

        @service.on(Settings)
        def decide(order: Settings) -> None: ...


def test_an_output_that_is_no_event_is_refused() -> None:
    service = Service("any")
    with pytest.raises(DeclarationError, match=HERE + "Settings is not an event"):

        @service.on(Placed)
        def decide(order: Placed) -> Accepted | Settings:
            raise NotImplementedError


def test_a_first_parameter_of_another_type_is_refused() -> None:
    service = Service("any")
    with pytest.raises(DeclarationError, match=HERE + ".*declared on Placed.*annotated Accepted"):

        @service.on(Placed)  # type: ignore[arg-type]  # the mistake under test
        def decide(order: Accepted) -> None: ...


def test_a_handler_without_parameters_is_refused() -> None:
    service = Service("any")
    with pytest.raises(DeclarationError, match=HERE + ".*Annotate it as Placed"):

        @service.on(Placed)  # type: ignore[arg-type]  # the mistake under test
        def decide() -> None: ...


def test_a_handler_that_does_not_say_what_it_returns_is_refused() -> None:
    service = Service("any")
    with pytest.raises(DeclarationError, match=HERE + ".*does not say what it returns.*or None"):

        @service.on(Placed)
        def decide(order: Placed): ...  # type: ignore[no-untyped-def]  # the mistake under test


def test_a_parameter_without_an_annotation_is_refused() -> None:
    service = Service("any")
    with pytest.raises(DeclarationError, match=HERE + ".*parameter 'gateway' of decide"):

        @service.on(Placed)
        def decide(order: Placed, gateway) -> None: ...  # type: ignore[no-untyped-def]  # the mistake under test


def test_an_annotation_that_does_not_exist_is_refused_by_name() -> None:
    service = Service("any")
    with pytest.raises(DeclarationError, match=HERE + ".*'Missing'.*not under TYPE_CHECKING"):

        @service.on(Placed)
        def decide(order: Placed) -> Missing: ...  # type: ignore[name-defined]  # noqa: F821 - the mistake under test


def test_an_annotation_that_its_module_lacks_is_refused_by_name() -> None:
    service = Service("any")
    with pytest.raises(DeclarationError, match=HERE + ".*'Missing'"):

        @service.on(Placed)
        def decide(order: Placed) -> re.Missing: ...  # type: ignore[name-defined]  # the mistake under test


def test_a_policy_that_cannot_work_is_refused() -> None:
    service = Service("any")
    with pytest.raises(DeclarationError, match=HERE + "ack_wait 10s is shorter than timeout 20s"):

        @service.on(Placed, policy=Policy(ack_wait=Duration(10)))
        def decide(order: Placed) -> None: ...


def test_a_handler_may_run_in_threads() -> None:
    service = Service("desk")

    @service.on(Placed, threads=4)
    def decide(placed: Placed) -> None:
        """Do nothing."""

    @service.on(Placed)
    async def ship(placed: Placed) -> None:
        """Do nothing."""

    @service.on(Placed)
    def count(placed: Placed) -> None:
        """Do nothing."""

    assert [(each.threads, each.runs) for each in service.handlers] == [
        (4, "threads"),
        (0, "async"),
        (0, "inline"),
    ]


def test_threads_that_cannot_be_are_refused() -> None:
    service = Service("desk")

    async def ship(placed: Placed) -> None:
        """Do nothing."""

    def decide(placed: Placed) -> None:
        """Do nothing."""

    with pytest.raises(DeclarationError, match=f"{HERE}ship cannot run in 4 threads: its calls"):
        service.on(Placed, threads=4)(ship)
    with pytest.raises(DeclarationError, match=f"{HERE}decide cannot run in -1 threads"):
        service.on(Placed, threads=-1)(decide)


def test_a_resource_that_yields_nothing_is_refused() -> None:
    service = Service("any")
    with pytest.raises(DeclarationError, match=HERE + ".*must return AsyncIterator"):

        @service.resource  # type: ignore[type-var]  # the mistake under test
        async def gateway() -> Gateway:
            raise NotImplementedError


def test_a_read_model_that_cannot_fold_is_refused() -> None:
    service = Service("any")
    with pytest.raises(DeclarationError, match=HERE + ".*Gateway has no method apply.*Give it"):
        service.read_model(Gateway, events=[Placed])


def test_a_read_model_of_something_that_is_no_event_is_refused() -> None:
    service = Service("any")
    with pytest.raises(DeclarationError, match=HERE + "Settings is not an event"):
        service.read_model(Board, events=[Settings])
