"""The functions of a service with what they ask for, noted as they run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Final

from msgspec import Struct

from jetmesh.declare import Delivery, Handler, Service
from jetmesh.declare.losing import Lost
from jetmesh.declare.supplied import Needs
from jetmesh.runtime.injection import Injector
from jetmesh.testing.story.doubles import Doubles
from jetmesh.testing.story.record import Record

_DELIVERY: Final = "_delivery"
"""A parameter that no handler has."""


class Cast(Injector):
    """Supplies doubles where something would be real; the rest as in a running service."""

    def __init__(
        self, service: Service, settings: Any, doubles: Doubles, record: Record | None
    ) -> None:
        super().__init__(service, settings)
        self._doubles = doubles
        self._record = record

    def with_reaction(self, handler: Handler) -> Handler:
        """A handler whose functions ask for nothing but the delivery."""
        function = self._awaited if handler.is_async else self._called
        lost = handler.lost and self._reacting(handler, handler.lost)
        played = partial(function, handler)
        return replace(handler, function=played, delivery=_DELIVERY, needs={}, lost=lost)

    def _called(self, handler: Handler, event: Struct, *state: Any, _delivery: Delivery) -> Any:
        call = partial(handler.function, event, *state, **self._given(handler, event, _delivery))
        if self._record is None:
            return call()
        self._record.begins(handler, _delivery)
        result = _all_of(call())
        self._record.ran(handler, _delivery, result, call)
        return result

    async def _awaited(self, handler: Handler, event: Struct, _delivery: Delivery) -> Any:
        call = partial(handler.function, event, **self._given(handler, event, _delivery))
        if self._record is None:
            return await call()
        self._record.begins(handler, _delivery)
        result = await call()
        self._record.ran(handler, _delivery, result, call)
        return result

    def _given(self, handler: Handler, event: Struct, delivery: Delivery) -> dict[str, Any]:
        about = {handler.delivery: delivery} if handler.delivery else {}
        return about | self._supplied(handler, handler.needs, event, delivery)

    def _supplied(
        self, handler: Handler, needs: Needs, event: Struct, delivery: Delivery
    ) -> dict[str, Any]:
        doubles = self._doubles.of(handler, needs, event, delivery)
        return self.of({n: k for n, k in needs.items() if n not in doubles}) | doubles

    def _reacting(self, handler: Handler, lost: Lost) -> Lost:
        def reacts(mine: Any, stored: Any, *, _event: Struct, _delivery: Delivery) -> Any:
            about = {lost.event: _event, lost.delivery: _delivery}
            given = {name: value for name, value in about.items() if name}
            given |= self._supplied(handler, lost.needs, _event, _delivery)
            return lost.function(mine, stored, **given)

        return replace(lost, function=reacts, event="_event", delivery=_DELIVERY, needs={})


def _all_of(result: Any) -> Any:
    """What a generator makes can be looked at once only."""
    return list(result) if isinstance(result, Iterator) else result
