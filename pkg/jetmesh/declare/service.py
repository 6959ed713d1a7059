"""Services: a named, versioned set of handlers, declared without a server."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar, get_args, get_origin

from msgspec import Struct

from jetmesh.declare.delivery import Delivery
from jetmesh.declare.event import EventSpec, spec_of
from jetmesh.declare.line import calling_line
from jetmesh.declare.policy import Policy, problems_of
from jetmesh.declare.setting import check_settings, spelled, variable
from jetmesh.declare.signature import Signature, read_signature
from jetmesh.errors import DeclarationError

_F = TypeVar("_F", bound=Callable[..., Any])
Needs: TypeAlias = dict[str, type]
"""Parameters that are supplied by their type."""

_name = re.compile(r"[a-z][a-z0-9_-]{0,62}")


@dataclass(frozen=True, slots=True)
class Handler:
    """A function from an event to events; its annotations are the declaration."""

    service: str
    name: str
    function: Callable[..., Any]
    input: EventSpec
    outputs: tuple[EventSpec, ...]
    """Every event type that the return annotation names, in its order."""
    is_async: bool
    delivery: str | None
    """The parameter that receives the `Delivery`, if there is one."""
    needs: Needs
    """Parameters that receive the service's settings or a resource, by type."""
    policy: Policy
    start: Literal["all", "new"]
    """Whether a durable made today begins with the first stored event or with the next one."""
    cycle: bool
    """Its outputs may lead back to its input on purpose."""
    where: str

    @property
    def durable(self) -> str:
        """The durable's name; renaming service or handler leaves an orphan on the server."""
        return f"{self.service}-{self.name}"

    @property
    def decision(self) -> str | None:
        """The decision that its outputs belong to, if any."""
        return next((spec.decision for spec in self.outputs if spec.decision), None)


@dataclass(frozen=True, slots=True)
class Resource:
    """Something a service opens at start and closes at its end: a client, a pool."""

    type: type
    open: Callable[..., AsyncIterator[Any]]
    needs: Needs
    where: str


@dataclass(frozen=True, slots=True)
class ReadModel:
    """State folded from events; its type has `apply(event, record)`."""

    type: type
    events: tuple[EventSpec, ...]
    where: str


@dataclass(frozen=True, slots=True)
class Web:
    """Pages that a service shows: a function that returns Starlette routes."""

    function: Callable[..., Sequence[Any]]
    needs: Needs
    where: str


@dataclass(slots=True)
class Service:
    """A named, versioned set of handlers, deployed and scaled by itself.

        service = Service("order-validation", version="1.0.0")

        @service.on(PurchaseCreated)
        def decide(purchase: PurchaseCreated) -> OrderValidated | OrderRejected: ...

    A handler's first parameter is the event. Others are supplied by their type: the `Delivery`,
    the service's `settings`, a `resource`, a `read_model`.
    """

    name: str
    version: str = "0.1.0"
    settings: type[Struct] | None = None
    description: str = ""
    handlers: list[Handler] = field(default_factory=list, init=False)
    resources: list[Resource] = field(default_factory=list, init=False)
    read_models: list[ReadModel] = field(default_factory=list, init=False)
    pages: list[Web] = field(default_factory=list, init=False)
    where: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self.where = calling_line(3)
        if _name.fullmatch(self.name) is None or "__" in spelled(self.name):
            raise DeclarationError(
                f"{self.where}: {self.name!r} cannot name a service.",
                remedy="Use lower-case letters, digits and single '-' or '_'; 63 at most.",
            )
        if self.settings:
            check_settings(self.settings, self.where)

    @property
    def events(self) -> list[EventSpec]:
        """What it handles, publishes or folds, each once."""
        handled = [spec for h in self.handlers for spec in (h.input, *h.outputs)]
        folded = [spec for model in self.read_models for spec in model.events]
        return list(dict.fromkeys(handled + folded))

    def variable(self, setting: str) -> str:
        """The environment variable of one of its own settings."""
        return variable(("services", self.name, "settings", setting))

    def on(
        self,
        event_type: type[Struct],
        *,
        policy: Policy | None = None,
        start: Literal["all", "new"] = "all",
        cycle: bool = False,
        name: str | None = None,
    ) -> Callable[[_F], _F]:
        """Handle every event of `event_type`.

        Raises:
            DeclarationError: the name is no legal durable name, an annotation is missing or
                names a type that is no event, or a parameter asks for an unknown type.
        """

        def declare(function: _F) -> _F:
            signature = read_signature(function)
            handler = Handler(
                service=self.name,
                name=name or signature.name,
                function=function,
                input=_input(event_type, signature),
                outputs=_outputs(signature),
                is_async=signature.is_async,
                delivery=signature.parameter_of(Delivery),
                needs=signature.needs(Delivery),
                policy=policy or Policy(),
                start=start,
                cycle=cycle,
                where=signature.where,
            )
            self._check(handler)
            self.handlers.append(handler)
            return function

        return declare

    def resource(self, function: _F) -> _F:
        """Declare an async generator that yields one thing handlers need, found by its type.

        It runs up to its `yield` before the first delivery and to its end after the last one.
        """
        signature = read_signature(function)
        if get_origin(signature.result) is not AsyncIterator:
            raise DeclarationError(
                f"{signature.where}: resource {signature.name} must return AsyncIterator[…].",
                remedy="Write async def name(…) -> AsyncIterator[Thing]: … yield thing.",
            )
        (supplied,) = get_args(signature.result)
        needs = dict(signature.parameters)
        self.resources.append(Resource(supplied, function, needs, signature.where))
        return function

    def read_model(self, model: type, *, events: Sequence[type[Struct]]) -> None:
        """Fold `events` from the first stored one on into one `model()` per process.

        `model.apply(event, record)` must give the same state in any order and with any
        repetition. Handlers, resources and pages receive the instance by its type.
        """
        where = calling_line()
        specs = tuple(_known(event, where) for event in events)
        if not callable(getattr(model, "apply", None)):
            raise DeclarationError(
                f"{where}: read model {model.__name__} cannot fold.",
                remedy="Give it a method apply(self, event, record).",
            )
        self.read_models.append(ReadModel(model, specs, where))

    def web(self, function: _F) -> _F:
        """Declare a function that returns the Starlette routes of this service's pages."""
        signature = read_signature(function)
        self.pages.append(Web(function, dict(signature.parameters), signature.where))
        return function

    def _check(self, handler: Handler) -> None:
        if _name.fullmatch(handler.name) is None:
            raise DeclarationError(
                f"{handler.where}: {handler.name!r} cannot name a handler: its durable "
                f"{handler.durable!r} must be lower-case letters, digits, '-' and '_'.",
                remedy="Rename the function, or pass name=… to on().",
            )
        for other in self.handlers:
            if spelled(other.name) == spelled(handler.name):
                raise DeclarationError(
                    f"{handler.where}: {self.name} has a handler {other.name!r} already.",
                    remedy=f"{handler.name!r} would share its durable or its variables: rename it.",
                )
        for problem in problems_of(handler.policy):
            raise DeclarationError(f"{handler.where}: {problem}.", remedy="Change the policy.")


def _input(event_type: type[Struct], signature: Signature) -> EventSpec:
    spec = _known(event_type, signature.where)
    first = next(iter(signature.parameters.values()), None)
    if first is not event_type:
        raise DeclarationError(
            f"{signature.where}: {signature.name} is declared on {event_type.__name__}, but its "
            f"first parameter is annotated {getattr(first, '__name__', first)}.",
            remedy=f"Annotate it as {event_type.__name__}.",
        )
    return spec


def _outputs(signature: Signature) -> tuple[EventSpec, ...]:
    if signature.result is Signature.MISSING:
        raise DeclarationError(
            f"{signature.where}: {signature.name} does not say what it returns.",
            remedy="Annotate the events it returns, or None.",
        )
    return tuple(dict.fromkeys(_known(t, signature.where) for t in signature.results()))


def _known(event_type: Any, where: str) -> EventSpec:
    spec = spec_of(event_type)
    if spec is None:
        raise DeclarationError(
            f"{where}: {getattr(event_type, '__name__', event_type)} is no event.",
            remedy="Declare it with @event(subject), or annotate an event type.",
        )
    return spec
