"""The events that annotations name."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from jetmesh.declare.event import EventSpec, spec_of
from jetmesh.declare.signature import Signature, members
from jetmesh.errors import DeclarationError


def input_of(event_type: type[Struct], signature: Signature) -> EventSpec:
    """The event of a handler: what it is declared on is what its first parameter takes."""
    spec = known(event_type, signature.where)
    first = next(iter(signature.parameters.values()), None)
    if first is not event_type:
        raise DeclarationError(
            f"{signature.where}: {signature.name} is declared on {event_type.__name__}, but its "
            f"first parameter is annotated {getattr(first, '__name__', first)}.",
            remedy=f"Annotate it as {event_type.__name__}.",
        )
    return spec


def outputs_of(signature: Signature) -> tuple[EventSpec, ...]:
    """Every event that a function may return."""
    if signature.result is Signature.MISSING:
        raise DeclarationError(
            f"{signature.where}: {signature.name} does not say what it returns.",
            remedy="Annotate the events it returns, or None.",
        )
    return events_in(signature.result, signature.where)


def events_in(annotation: Any, where: str) -> tuple[EventSpec, ...]:
    """Every event that an annotation names, once, in its order."""
    return tuple(dict.fromkeys(known(each, where) for each in members(annotation)))


def known(event_type: Any, where: str) -> EventSpec:
    """How an event was declared.

    Raises:
        DeclarationError: it is none.
    """
    spec = spec_of(event_type)
    if spec is None:
        raise DeclarationError(
            f"{where}: {getattr(event_type, '__name__', event_type)} is not an event.",
            remedy="Declare it with @event(subject), or name an event type: @service.on(Event).",
        )
    return spec
