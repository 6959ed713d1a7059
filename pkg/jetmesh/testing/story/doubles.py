"""What stands in for the resources of a service in a story, and what handlers did with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from msgspec import Struct

from jetmesh.declare import Delivery, Handler, Rehearsed, Service
from jetmesh.declare.supplied import Needs
from jetmesh.errors import UsageError

_PLAIN: Final = ("__enter__", "__aenter__", "__iter__", "__aiter__", "__getitem__", "__await__")
"""Of whatever has one of these nothing is recorded: Python looks for them past a stand-in."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One call of a resource, by one attempt of a handler."""

    handler: str
    """`payments.charge`."""
    cause: str
    """The message that it handled, as `Delivery.cause` has it."""
    resource: type
    """The type that the handler asked for."""
    name: str
    """The method."""
    arguments: tuple[Any, ...]
    named: Mapping[str, Any]

    @property
    def call(self) -> str:
        """As it was written, shortened."""
        given = [*map(repr, self.arguments), *(f"{n}={v!r}" for n, v in self.named.items())]
        return f"{self.resource.__name__}.{self.name}({', '.join(given)})"[:200]


class Doubles:
    """Makes the doubles of one service, for each message."""

    def __init__(
        self, service: Service, settings: Any, given: Mapping[str, Any], effects: list[Effect]
    ) -> None:
        self._settings: dict[Any, Any] = {service.settings: settings}
        self._declared = {double.type: double for double in service.doubles}
        self._given = _by_type(service, given)
        self._effects = effects
        self.types = {*self._declared, *self._given} - {m.type for m in service.read_models}
        """What has a double; read models are real."""
        _require(service, self.types)

    def of(
        self, handler: Handler, needs: Needs, event: Struct, delivery: Delivery
    ) -> dict[str, Any]:
        """The arguments of these types, for one attempt."""
        wanted = {name: kind for name, kind in needs.items() if kind in self.types}
        past = Rehearsed(event, (), delivery.stored_at)
        about = handler.title, delivery.cause
        return {name: self._made(kind, past, about) for name, kind in wanted.items()}

    def _made(self, kind: type, past: Rehearsed, about: tuple[str, str]) -> Any:
        if kind in self._given:
            made = self._given[kind]
        else:
            double = self._declared[kind]
            known: dict[Any, Any] = {Rehearsed: past, **self._settings}
            made = double.make(**{name: known[each] for name, each in double.needs.items()})
        if any(hasattr(type(made), name) for name in _PLAIN):
            return made
        return _Recorded(made, kind, about, self._effects)


class _Recorded:
    """Passes everything on, and notes each call."""

    def __init__(
        self, double: Any, kind: type, about: tuple[str, str], effects: list[Effect]
    ) -> None:
        self.__dict__.update(_double=double, _kind=kind, _about=about, _effects=effects)

    @property  # type: ignore[misc] # it is meant to pass for the double
    def __class__(self) -> type:
        return type(self._double)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._double, name)
        return self._noted(name, found) if callable(found) else found

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._double, name, value)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._noted("__call__", self._double)(*arguments, **named)

    def _noted(self, name: str, function: Any) -> Any:
        def called(*arguments: Any, **named: Any) -> Any:
            handler, cause = self._about
            self._effects.append(Effect(handler, cause, self._kind, name, arguments, named))
            return function(*arguments, **named)

        return called


def check_names(services: Sequence[Service], given: Mapping[str, Any]) -> None:
    """Raises UsageError: something is given that no service has."""
    known = {resource.open.__name__ for service in services for resource in service.resources}
    for name in given:
        if name not in known:
            raise UsageError(
                f"No service of this story has a resource {name!r}.",
                remedy=f"There are: {', '.join(sorted(known)) or 'none'}.",
            )


def _by_type(service: Service, given: Mapping[str, Any]) -> dict[type, Any]:
    """What is given under the name of the function that opens a resource."""
    resources = service.resources
    return {r.type: given[r.open.__name__] for r in resources if r.open.__name__ in given}


def _require(service: Service, doubled: set[type]) -> None:
    """Refuse a service of which something would be real."""
    real = {resource.type: resource.open.__name__ for resource in service.resources}
    for handler in service.handlers:
        needs = handler.needs | (handler.lost.needs if handler.lost else {})
        for kind in needs.values():
            if kind in real and kind not in doubled:
                raise UsageError(
                    f"{service.name}.{handler.name} asks for a {kind.__name__}, of which there is "
                    "no double: a story would use the real one.",
                    remedy=f"Story(…, {real[kind]}=…), or @service.rehearsal def …() -> "
                    f"{kind.__name__} (docs/rehearsing.md).",
                )
