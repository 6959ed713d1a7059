"""Services: a named, versioned set of handlers, declared without a server."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Concatenate, Literal, ParamSpec, TypeAlias, TypeVar, get_args, get_origin

from msgspec import Struct

from jetmesh.declare.annotated import known
from jetmesh.declare.event import EventSpec
from jetmesh.declare.handler import Handler, Start, checked, read_handler
from jetmesh.declare.line import calling_line
from jetmesh.declare.losing import read_lost
from jetmesh.declare.policy import Policy, problems_of
from jetmesh.declare.rehearsing import Double
from jetmesh.declare.setting import check_settings, spelled, variable
from jetmesh.declare.several import several
from jetmesh.declare.signature import Signature, read_signature
from jetmesh.declare.state import Wanted
from jetmesh.declare.supplied import ReadModel, Resource, Web
from jetmesh.declare.wrapping import AsyncWrap, PublishWrap, Wrap
from jetmesh.errors import DeclarationError

_E = TypeVar("_E", bound=Struct)
_P = ParamSpec("_P")
_R = TypeVar("_R")
_Function: TypeAlias = Callable[Concatenate[_E, _P], _R]
_Opens = TypeVar("_Opens", bound=Callable[..., AsyncIterator[Any]])
_Shows = TypeVar("_Shows", bound=Callable[..., Sequence[Any]])
_Reacts = TypeVar("_Reacts", bound=Callable[..., Any])
_Stands = TypeVar("_Stands", bound=Callable[..., Any])

_name = re.compile(r"[a-z][a-z0-9_-]{0,62}")


@dataclass(slots=True)
class Service:
    """A named, versioned set of handlers, deployed and scaled by itself.

        service = Service("order-validation", version="1.0.0")

        @service.on(PurchaseCreated)
        def decide(purchase: PurchaseCreated) -> OrderValidated | OrderRejected: ...

    A handler's first parameter is the event. Others are supplied by their type: the `Delivery`,
    the service's `settings`, a `resource`, a `read_model`.

    Raises:
        DeclarationError: the name is no legal one, or the settings have names that cannot be told
            apart as variables.
    """

    name: str
    """What its durables, its lane stream, its subjects in `DEADLETTERS` and `REFUSALS`, its
    settings, its program cmd/<name>/main.py and its Deployment are called. Renaming it leaves its
    durables behind on the server, and the new ones begin as each handler's `start` says."""
    version: str = "0.1.0"
    """Of this service alone, as `nats micro`, the logs, `jetmesh topology` and the contracts show
    it. `jetmesh doctor` reports instances of another version; nothing else looks at it."""
    settings: type[Struct] | None = None
    """What may be set of it: each field under the very name that it has here, in
    [services.<name>.settings], as a variable (`variable` says which) and in the chart's values.
    Unknown names and wrong values stop the service at its start, and so does a field without a
    default that nobody set. A field that is marked `Meta(extra={"sensitive": True})`, or whose
    name ends in password, secret or token, is never printed, and goes into a Secret in
    Kubernetes. Parameters of this type receive the values."""
    description: str = ""
    """One sentence for people, in `nats micro info`, `jetmesh topology`, the contracts and above
    its values in the chart."""
    wrap: Sequence[Wrap | AsyncWrap] = ()
    """What runs around each handler, the first one outermost: `def` functions around `def`
    handlers, `async def` ones around `async def` handlers, each called with the rest as a call, the
    event and the `Delivery`. What it returns is what the handler returned, what it raises is what
    the handler raised, and an attempt's time is its time too."""
    handlers: list[Handler] = field(default_factory=list, init=False)
    resources: list[Resource] = field(default_factory=list, init=False)
    doubles: list[Double] = field(default_factory=list, init=False)
    read_models: list[ReadModel] = field(default_factory=list, init=False)
    pages: list[Web] = field(default_factory=list, init=False)
    published: list[EventSpec] = field(default_factory=list, init=False)
    publish_wraps: list[PublishWrap] = field(default_factory=list, init=False)
    where: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self.where = calling_line(3)
        if _name.fullmatch(self.name) is None or "__" in spelled(self.name):
            raise DeclarationError(
                f"{self.where}: {self.name!r} cannot name a service.",
                remedy="Use lower-case letters, digits and single '-' or '_'; 63 at most.",
            )
        several(self.wrap, "wrap", f"{self.where}: the service {self.name}")
        if self.settings:
            check_settings(self.settings, self.where)

    @property
    def events(self) -> list[EventSpec]:
        """What it handles, publishes or folds, each once."""
        handled = [spec for h in self.handlers for spec in (h.input, *h.outputs)]
        handled += [h.remembers.state for h in self.handlers if h.remembers]
        folded = [spec for model in self.read_models for spec in model.events]
        return list(dict.fromkeys(handled + folded + self.published))

    def variable(self, *setting: str) -> str:
        """The environment variable of one of its own settings, `gateway_url` for instance; of one
        in a table, `"smtp", "host"`.
        """
        return variable(("services", self.name, "settings", *setting))

    def on(  # noqa: PLR0913 - each says one thing of a handler, by name
        self,
        event_type: type[_E],
        *,
        policy: Policy | None = None,
        start: Start = "all",
        cycle: bool = False,
        name: str | None = None,
        threads: int = 0,
        state: type[Struct] | None = None,
        by: str = "",
        moves: Mapping[Any, Any] | None = None,
        otherwise: Literal["ignore", "reject"] | None = None,
        ordered: bool = False,
        reads: Sequence[str] = (),
    ) -> Callable[[_Function[_E, _P, _R]], _Function[_E, _P, _R]]:
        """Handle every event of `event_type`; the function itself stays as it is.

            @service.on(OrderPaid, policy=Policy(attempts=10, timeout=Duration(10)))
            async def ship(order: OrderPaid, carrier: Carrier) -> ParcelSent | None:
                return ParcelSent(order.id, await carrier.collect(order.address))

        One process runs up to `policy.concurrency` calls of an `async def` handler at once. A `def`
        handler takes one delivery after another and blocks the process meanwhile: keep it short.
        What it returns (an event, several in a list, None) is published before the input is
        acknowledged; its return annotation names every event that it may return. `policy` says how
        often and how long it is tried, and how much is in flight.

        `start`: where a durable that is made for the first time begins. "all" handles every event
        stored already (`jetmesh plan` says how many; a service that mails would mail all history),
        "new" only those stored from then on. Changing it later is drift, which `jetmesh apply`
        refuses until the durable is deleted or the handler renamed.

        `cycle`: its outputs may lead back to its input, until it returns None. `ordered`: messages
        of a key run one after another as stored, in all replicas; without it they may overtake.

        `threads`: a `def` handler that has to wait runs in so many threads of each process; no
        `policy.timeout` ends a call, and what outlasts a stop's grace runs again. 0: no threads.

        `name`: what its durable, settings and logs are called by, unless as the function.
        `state`, `by`: what a `def` handler remembers of the key to which the path `by` leads in its
        event. Its second parameter is the state or None; what it returns of this type replaces it.
        Of a state with steps, `moves`: where its event is expected and leads to, as {"waiting":
        "paid"}; `otherwise`: what it is in any other step, "ignore"d and counted, or "reject"ed.
        `reads`: the fields, such as "customer.email", that concern it (`jetmesh contracts check`).

        Raises:
            DeclarationError: name, annotations or policy cannot work; it says which, and why.
        """
        known(event_type, calling_line())  # `@service.on` alone would declare nothing

        def declare(function: _Function[_E, _P, _R]) -> _Function[_E, _P, _R]:
            wanted = Wanted(state, by, moves, otherwise)
            found = read_handler(self.name, function, event_type, self.wrap, wanted=wanted)
            found = replace(found, name=name or found.name, policy=policy or found.policy)
            found = replace(found, start=start, cycle=cycle, threads=threads, ordered=ordered)
            self._add(checked(found, reads))
            return function

        return declare

    def lost(self, handler: Callable[..., Any]) -> Callable[[_Reacts], _Reacts]:
        """Do something when `handler` loses: another cause decided its key first.

            @service.lost(charge)
            async def refund(
                mine: PaymentCaptured | PaymentDeclined | None,
                stored: PaymentCaptured | PaymentDeclined,
                gateway: Gateway,
            ) -> PaymentRefunded | None: ...

        `mine` is what the handler wanted to decide, and None when it did not run this time because
        the outcome was there before: it may have run, and done its effect, in an attempt that ended
        without one. `stored` is the outcome that stands. Other parameters are supplied by type as
        the handler's, and one of its event's type receives the event.

        It runs before the input is acknowledged; what it returns is published first. What it raises
        is a failed attempt of the handler, so it may run again, then with `mine` None for an
        `async def` handler.

        Raises:
            DeclarationError: `handler` is no handler of this service or makes no decision, or the
                annotations do not fit it.
        """

        def declare(function: _Reacts) -> _Reacts:
            found = [n for n, each in enumerate(self.handlers) if each.function is handler]
            name = getattr(handler, "__name__", str(handler))
            if not found or any(self.handlers[n].lost for n in found):
                why = "reacts already" if found else f"is no handler of {self.name}"
                raise DeclarationError(
                    f"{calling_line()}: {name} {why}.", remedy="Name one declared with on(), once."
                )
            for n in found:
                losing = self.handlers[n]
                lost = read_lost(function, name, losing.input, losing.returns, self.wrap)
                self.handlers[n] = replace(losing, lost=lost)
                self._follow(lost.outputs)
            return function

        return declare

    def resource(self, function: _Opens) -> _Opens:
        """Declare an async generator that yields one thing handlers need, found by its type.

            @service.resource
            async def carrier(settings: ShippingSettings) -> AsyncIterator[Carrier]:
                async with httpx.AsyncClient(base_url=settings.carrier_url) as client:
                    yield Carrier(client)

        It runs up to its `yield` before the first delivery and to its end after the last one; what
        it raises before ends the service's start. Each process has one, which handlers that run
        side by side share. It is supplied wherever a handler, a page or another resource has a
        parameter of exactly the type in `AsyncIterator[…]`, so a service has one of each type.

        Raises:
            DeclarationError: it is not annotated to return AsyncIterator[…], or a parameter has
                no annotation.
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

    def rehearsal(self, function: _Stands) -> _Stands:
        """Declare what stands in for a resource in rehearsals and in stories.

            @service.rehearsal
            def remembered(past: Rehearsed) -> Carrier:
                return Remembered(past.outcome(ParcelSent))

        It is called for each message, and supplied where a handler asks for exactly the type that
        it is annotated to return: a resource or a read model. Its own parameters are supplied by
        type: `Rehearsed`, which tells what really came of the message, and the settings. A running
        service never calls it.

        Raises:
            DeclarationError: it does not say what it returns, or a parameter has no annotation.
        """
        signature = read_signature(function)
        if signature.result in (Signature.MISSING, type(None)):
            raise DeclarationError(
                f"{signature.where}: {signature.name} must return what it stands in for.",
                remedy="Write def name(past: Rehearsed) -> Carrier: …",
            )
        needs = dict(signature.parameters)
        self.doubles.append(Double(signature.result, function, needs, signature.where))
        return function

    def read_model(
        self,
        model: type,
        *,
        events: Sequence[type[Struct]],
        most_keys: int = 0,
        instances: int = 10,
        reads: Sequence[str] = (),
    ) -> None:
        """Fold `events` from the first stored one on into one `model()` per process.

            class Board:
                def apply(self, event: ParcelSent, record: Record) -> None: ...

            service.read_model(Board, events=[ParcelSent])

        `model`: a class that is made without arguments. `model.apply(event, record)` must give the
        same state in any order and with any repetition. Handlers, resources and pages receive the
        instance by its type; it holds what it folded in memory, and nothing of it is stored.

        `model.forget(key, record)`, if there is one, is called where the server marks that all that
        was stored on a subject is gone, for age, by a purge or removed; `record.subject` says on
        which. Without it the read model keeps what it folded. The server marks that only in a
        stream with `subject_delete_marker_ttl`.

        `events`: the event types that `apply` gets, of any service. Each process reads all of
        them again at every start: a longer history makes a longer start.

        `instances`: how many processes of the service can run at once, those of a rollout counted.
        For each of them `jetmesh apply` makes a consumer on each stream, `<service>-<model>-<n>`;
        a process that finds all of them taken is not ready, and says so.

        `most_keys`: how many keys it may hold, so that its memory has a bound whatever anybody
        publishes. Above that `model.drop(key)` is called for the key that changed longest ago. Keep
        for each key where its events are, not what they say: pages that ask for a `History` read
        them again. 0: no bound.

        `reads`: the fields of its events that it looks at, as for a handler.

        Raises:
            DeclarationError: it has no `apply`, its `forget` is no method, one of `events` is no
                event, it has a bound and no `drop`, or events without a key, or `instances` is no
                number from 1 to 100.
        """
        where = calling_line()
        about = f"{where}: read model {getattr(model, '__name__', model)}"
        specs = tuple(known(event, where) for event in several(events, "events", about))
        looks = several(reads, "reads", about)
        read_model = ReadModel(model, specs, where, instances, most_keys, looks)
        read_model.check()
        self.read_models.append(read_model)

    def web(self, function: _Shows) -> _Shows:
        """Declare a function that returns the Starlette routes of this service's pages.

            @service.web
            def pages(board: Board) -> list[Route]:
                return [Route("/", lambda _: JSONResponse(board.totals))]

        It is called once, at the start; its parameters are supplied by type like a handler's,
        without the event. The routes are answered at `http.port`, by every instance for itself;
        /healthz, /readyz and /metrics are then at `http.health_port`. With pages the chart has a
        Service and, if wanted, an Ingress.

        Raises:
            DeclarationError: a parameter has no annotation.
        """
        signature = read_signature(function)
        self.pages.append(Web(function, dict(signature.parameters), signature.where))
        return function

    def publishes(self, *events: type[Struct], wrap: Sequence[PublishWrap] = ()) -> None:
        """Let `events` in from outside: its pages and resources may ask for a `Publisher`.

            service.publishes(OrderPlaced)

            @service.web
            def pages(publisher: Publisher) -> list[Route]: ...

        The events still come from outside, and others may publish them too; what a handler
        returns needs no such line.

        `wrap`: what runs around all that the service's Publisher publishes, as `Publisher` says.

        Raises:
            DeclarationError: one of `events` is no event.
        """
        where = calling_line()
        found = [known(event, where) for event in events]
        self.published += [spec for spec in found if spec not in self.published]
        self.publish_wraps += several(wrap, "wrap", f"{where}: the service {self.name}")

    def _add(self, handler: Handler) -> None:
        self._check(handler)
        self.handlers.append(handler)
        self._follow(handler.outputs)

    def _follow(self, made: Iterable[EventSpec]) -> None:
        """A handler for each event that takes the place of one made here."""
        for spec in made:
            for each in spec.replacements:
                if all(handler.function is not each.function for handler in self.handlers):
                    signature = each.signature
                    self._add(
                        read_handler(self.name, each.function, spec.type, signature=signature)
                    )

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
        if handler.threads < 0 or (handler.threads and handler.is_async):
            why = "its calls run in tasks" if handler.is_async else "there are none"
            raise DeclarationError(
                f"{handler.where}: {handler.name} cannot run in {handler.threads} threads: {why}.",
                remedy="Give threads to a def handler; an async def one has its concurrency.",
            )
        for problem in problems_of(handler.policy):
            raise DeclarationError(f"{handler.where}: {problem}.", remedy="Change the policy.")
