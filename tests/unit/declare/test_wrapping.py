"""What wraps handlers fits their kind; no handler runs without what it should be wrapped in."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Struct

from jetmesh import AsyncCall, Call, Delivery, Service
from jetmesh.errors import DeclarationError
from tests.unit.declared import Created, Validated


def around(call: Call, event: Struct, delivery: Delivery) -> Any:
    return call()


async def around_async(call: AsyncCall, event: Struct, delivery: Delivery) -> Any:
    return await call()


class Around:
    async def __call__(self, call: AsyncCall, *_: object) -> Any:
        return await call()


def test_each_handler_gets_the_wraps_of_its_kind() -> None:
    whole = Around()
    service = Service("both", wrap=[around, around_async, whole])

    @service.on(Created)
    def decide(created: Created) -> None: ...

    @service.on(Created)
    async def mail(created: Created) -> None: ...

    assert [handler.wraps for handler in service.handlers] == [(around,), (around_async, whole)]


def test_a_handler_that_nothing_fits_is_refused() -> None:
    service = Service("mailing", wrap=[around])
    with pytest.raises(DeclarationError, match=r"mail is async def, .* only def handlers") as said:

        @service.on(Created)
        async def mail(created: Created) -> None: ...

    assert said.value.remedy == "Add one to wrap=[…] that is async def."


def test_what_reacts_to_losing_is_wrapped_as_well() -> None:
    service = Service("validation", wrap=[around])

    @service.on(Created)
    def decide(created: Created) -> Validated:
        raise NotImplementedError

    with pytest.raises(DeclarationError, match="react is async def"):

        @service.lost(decide)
        async def react(mine: Validated | None, stored: Validated) -> None: ...


def test_without_wraps_every_kind_is_as_it_was() -> None:
    service = Service("plain")

    @service.on(Created)
    async def mail(created: Created) -> None: ...

    assert service.handlers[0].wraps == ()
