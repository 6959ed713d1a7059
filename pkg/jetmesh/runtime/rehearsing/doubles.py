"""The doubles that a service declares, in the place of what would have an effect."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from msgspec import Struct

from jetmesh.declare import Delivery, Handler, Rehearsed, Service
from jetmesh.errors import UsageError
from jetmesh.runtime.rehearsing.cut import Attempt, Cut
from jetmesh.runtime.rehearsing.states import States

_DELIVERY: Final = "_delivery"
"""A parameter that no handler has."""


@dataclass(slots=True)
class Past:
    """What is known of one message while its handler runs."""

    outputs: tuple[Struct, ...]
    attempts: list[Attempt] = field(default_factory=list)
    """To reach something outside."""


def require_doubles(service: Service, handlers: list[Handler]) -> None:
    """Refuse a service of which something would be real.

    Raises:
        UsageError: a handler asks for what has no double.
    """
    known = {double.type for double in service.doubles} | {service.settings}
    for handler in handlers:
        for kind in handler.needs.values():
            if kind not in known:
                name = getattr(kind, "__name__", kind)
                raise UsageError(
                    f"{service.name} declares no double of {name}, which {handler.name} asks for: "
                    "a rehearsal would have to use the real one.",
                    remedy=f"Declare it: @service.rehearsal def …(past: Rehearsed) -> {name}: … "
                    "(docs/rehearsing.md).",
                )


class Cast:
    """Calls one handler's function with doubles, made for each message."""

    def __init__(
        self,
        service: Service,
        handler: Handler,
        settings: Any,
        pasts: Mapping[str, Past],
        cut: Cut,
        states: States | None = None,
    ) -> None:
        self._states = states
        self._given = {service.settings: settings}
        self._doubles = {double.type: double for double in service.doubles}
        self._handler = handler
        self._pasts = pasts
        self._cut = cut

    def handler(self) -> Handler:
        """The handler, as it is rehearsed: it asks for nothing."""
        function = self._awaited if self._handler.is_async else self._called
        return replace(
            self._handler, function=function, delivery=_DELIVERY, needs={}, remembers=None
        )

    def _called(self, event: Struct, _delivery: Delivery) -> Any:
        function, arguments = self._handler.function, self._arguments(event, _delivery)
        with self._noted(_delivery):
            if self._states is None:
                return function(event, **arguments)
            token = _delivery.cause.partition(":")[2]
            return self._states.call(function, event, token, arguments)

    async def _awaited(self, event: Struct, _delivery: Delivery) -> Any:
        with self._noted(_delivery):
            return await self._handler.function(event, **self._arguments(event, _delivery))

    def _noted(self, delivery: Delivery) -> AbstractContextManager[None]:
        return self._cut.for_message(self._past(delivery).attempts)

    def _past(self, delivery: Delivery) -> Past:
        return self._pasts[delivery.cause.partition(":")[2]]

    def _arguments(self, event: Struct, delivery: Delivery) -> dict[str, Any]:
        past = Rehearsed(event, self._past(delivery).outputs, delivery.stored_at)
        about = {self._handler.delivery: delivery} if self._handler.delivery else {}
        return about | {name: self._made(kind, past) for name, kind in self._handler.needs.items()}

    def _made(self, kind: type, past: Rehearsed) -> Any:
        double = self._doubles.get(kind)
        if double is None:
            return self._given[kind]
        needs = {n: past if t is Rehearsed else self._given[t] for n, t in double.needs.items()}
        return double.make(**needs)
