"""What a handler does when it loses is declared by annotations, and refused if it cannot work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec import Struct

from jetmesh import Delivery, Service, event
from jetmesh.declare import permissions_of
from jetmesh.errors import DeclarationError
from tests.unit.declared import Created, Rejected, Validated, spec


@event("refunds.made", key="id")
class Refunded(Struct, frozen=True):
    id: str


class Gateway: ...


def deciding() -> tuple[Service, Callable[..., Any]]:
    service = Service("validation")

    @service.on(Created)
    async def decide(created: Created) -> Validated | Rejected:
        raise NotImplementedError

    return service, decide


def test_its_annotations_are_the_declaration_and_the_function_stays_as_it_is() -> None:
    service, decide = deciding()

    async def refund(
        mine: Validated | Rejected | None,
        stored: Validated | Rejected,
        gateway: Gateway,
        created: Created,
        delivery: Delivery,
    ) -> Refunded | None:
        raise NotImplementedError

    assert service.lost(decide)(refund) is refund
    (handler,) = service.handlers
    assert handler.lost is not None
    assert handler.lost.name == "refund"
    assert handler.lost.is_async
    assert handler.lost.needs == {"gateway": Gateway}
    assert (handler.lost.event, handler.lost.delivery) == ("created", "delivery")
    assert handler.returns == (spec(Validated), spec(Rejected))
    assert handler.outputs == (*handler.returns, spec(Refunded))


def test_the_broker_must_allow_what_it_publishes() -> None:
    service, decide = deciding()

    @service.lost(decide)
    def refund(mine: Validated | Rejected | None, stored: Validated | Rejected) -> Refunded:
        raise NotImplementedError

    assert "refunds.made.*" in permissions_of(service, inbox_prefix="_INBOX").publish


def without_none(mine: Validated | Rejected, stored: Validated | Rejected) -> None: ...
def of_one(mine: Validated | None, stored: Validated | Rejected) -> None: ...
def of_no_event(mine: Gateway | None, stored: Validated | Rejected) -> None: ...
def too_short(mine: Validated | Rejected | None) -> None: ...
def silent(mine: Validated | Rejected | None, stored: Validated | Rejected): ...  # type: ignore[no-untyped-def]  # that is the fault
def again(mine: Validated | Rejected | None, stored: Validated | Rejected) -> Rejected: ...  # type: ignore[empty-body]  # only declared


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (without_none, "must take what decide wanted to decide first, and None"),
        (of_one, "Validated | Rejected | None"),
        (of_no_event, "Gateway is not an event"),
        (too_short, "takes too little"),
        (silent, "does not say what it returns"),
        (again, "returns Rejected of the very decision 'orders.\\*' that was lost"),
    ],
)
def test_what_cannot_work_is_refused(function: Callable[..., Any], says: str) -> None:
    service, decide = deciding()
    with pytest.raises(DeclarationError, match=r"test_losing\.py:\d+: .*" + says):
        service.lost(decide)(function)


def test_a_handler_that_decides_nothing_cannot_lose() -> None:
    service = Service("mailing")

    @service.on(Created)
    def tell(created: Created) -> None: ...

    with pytest.raises(DeclarationError, match="tell, which makes no decision"):

        @service.lost(tell)
        def react(mine: None, stored: Validated) -> None: ...


def test_only_a_handler_of_the_service_loses_and_it_reacts_once() -> None:
    service, decide = deciding()

    def react(mine: Validated | Rejected | None, stored: Validated | Rejected) -> None: ...

    with pytest.raises(DeclarationError, match="react is no handler of validation"):
        service.lost(react)(react)
    service.lost(decide)(react)
    with pytest.raises(DeclarationError, match="decide reacts already"):
        service.lost(decide)(react)
