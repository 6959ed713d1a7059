"""Events that are published at a time: `Later`, and `Cancel` of one that waits (ADR-0035)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Generic, TypeVar, get_args, get_origin

from msgspec import Struct

from jetmesh.declare.annotated import events_in
from jetmesh.declare.event import EventSpec, key_of, spec_of
from jetmesh.declare.key import escape_key
from jetmesh.declare.signature import Signature, members
from jetmesh.declare.state import Remembering, StateSpec
from jetmesh.errors import ContractViolation, DeclarationError

_E = TypeVar("_E", bound=Struct)
_NO_TIME: Final = timedelta(0)
LATEST: Final = datetime(2262, 1, 1, tzinfo=UTC)
"""Behind it a server's nanoseconds overflow, and what is due then would come at once."""


@dataclass(frozen=True, slots=True)
class Later(Generic[_E]):
    """Returned by a handler: the service publishes an event when its time has come.

        @service.on(OrderPlaced)
        def wait(order: OrderPlaced) -> Later[PaymentOverdue]:
            return Later(PaymentOverdue(order.id), after=minutes(15))

    Its deadline is named by the event's type, its key and `name`: another one of the same name
    takes its place, `Cancel` ends it. One that is due already is published at once.

    Raises:
        ContractViolation: it has no time or two, a time without a zone, one that is negative or
            behind 2262, or the event has no key.
    """

    event: _E
    after: timedelta | None = None
    at: datetime | None = None
    name: str = ""

    def __post_init__(self) -> None:
        told = f"Later({type(self.event).__name__})"
        if (self.after is None) == (self.at is None):
            raise ContractViolation(f"{told} needs either after or at")
        if self.after is not None and self.after < _NO_TIME:
            raise ContractViolation(f"{told} has a negative after: {self.after}")
        if self.at is not None and self.at.tzinfo is None:
            raise ContractViolation(f"{told} has an at without a time zone: {self.at.isoformat()}")
        _check(told, type(self.event), self.name)

    def due(self, now: datetime) -> datetime:
        """When it is published, in UTC, for a handler that returned it at `now`.

        Raises:
            ContractViolation: that is behind 2262.
        """
        try:
            found = now + self.after if self.after is not None else self.at or now
            found = found.astimezone(UTC)
        except OverflowError:
            found = LATEST
        if found >= LATEST:
            raise ContractViolation(f"Later({type(self.event).__name__}) is due in 2262 or behind")
        return found

    @property
    def key(self) -> str:
        """The event's key."""
        spec = spec_of(type(self.event))
        return key_of(spec, self.event) if spec else ""


@dataclass(frozen=True, slots=True)
class Cancel(Generic[_E]):
    """Returned by a handler: the deadline of this event, key and name is no more.

    Nothing happens where there is none.

    Raises:
        ContractViolation: it names no event with a key.
    """

    event: type[_E]
    key: str
    name: str = ""

    def __post_init__(self) -> None:
        _check(f"Cancel({getattr(self.event, '__name__', self.event)})", self.event, self.name)
        escape_key(self.key)


def seconds(count: float) -> timedelta:
    """So many seconds, as `Later` takes them."""
    return timedelta(seconds=count)


def minutes(count: float) -> timedelta:
    """So many minutes, as `Later` takes them."""
    return timedelta(minutes=count)


def hours(count: float) -> timedelta:
    """So many hours, as `Later` takes them."""
    return timedelta(hours=count)


def days(count: float) -> timedelta:
    """So many days of 24 hours, as `Later` takes them."""
    return timedelta(days=count)


@dataclass(frozen=True, slots=True)
class Deadlines:
    """What the return annotation of a handler names besides its events and its state."""

    later: tuple[EventSpec, ...] = ()
    """Events that it may return in a `Later`."""
    cancels: tuple[EventSpec, ...] = ()
    """Those of which it may return a `Cancel`."""


def without_deadlines(signature: Signature) -> Signature:
    """The same, as if it returned only what is published or remembered now."""
    if signature.result is Signature.MISSING:
        return signature
    rest = tuple(each for each in members(signature.result) if _kind(each) is None)
    result = tuple.__class_getitem__(rest) if rest else None
    return replace(signature, result=result)


def read_deadlines(signature: Signature, remembers: Remembering | None) -> Deadlines:
    """What an annotation says of deadlines: `-> tuple[Order, Later[PaymentOverdue]]`.

    Raises:
        DeclarationError: it names none of an event that can have one.
    """
    if signature.result is Signature.MISSING:
        return Deadlines()
    found = list(members(signature.result))
    return Deadlines(
        tuple(_named(found, Later, signature, remembers)),
        tuple(_named(found, Cancel, signature, remembers)),
    )


def _named(
    found: Iterable[Any], kind: type, signature: Signature, remembers: Remembering | None
) -> Iterator[EventSpec]:
    seen: set[EventSpec] = set()
    for each in found:
        if _kind(each) is not kind:
            continue
        arguments = get_args(each)
        if not arguments:
            raise _wrong(
                signature,
                f"returns {kind.__name__} of no event",
                f"Name it: {kind.__name__}[PaymentOverdue].",
            )
        for spec in events_in(arguments[0], signature.where):
            _check_spec(spec, kind, signature, remembers)
            if spec not in seen:
                seen.add(spec)
                yield spec


def _check_spec(
    spec: EventSpec, kind: type, signature: Signature, remembers: Remembering | None
) -> None:
    told = f"returns {kind.__name__}[{spec.name}]"
    if isinstance(spec, StateSpec):
        raise _wrong(signature, f"{told}, which is a state", "Publish an event later.")
    if spec.key is None:
        raise _wrong(
            signature,
            f"{told}, which has no key",
            "A deadline is found by the key of its event: declare one with @event(…, key=…).",
        )
    if remembers and spec.decision:
        raise _wrong(
            signature,
            f"remembers {remembers.state.name} and {told}, which decides",
            "The state decides: return an event that is no outcome of a decision.",
        )


def _kind(annotation: Any) -> type | None:
    """`Later` or `Cancel`, where an annotation is one of them."""
    found = get_origin(annotation) or annotation
    return found if found in (Later, Cancel) else None


def _check(told: str, event: Any, name: str) -> None:
    spec = spec_of(event)
    if spec is None or isinstance(spec, StateSpec) or not spec.key:
        raise ContractViolation(f"{told} is about no event with a key")
    if name:
        escape_key(name)


def _wrong(signature: Signature, what: str, remedy: str) -> DeclarationError:
    return DeclarationError(f"{signature.where}: {signature.name} {what}.", remedy=remedy)
