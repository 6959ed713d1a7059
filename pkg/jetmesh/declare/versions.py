"""Versions of an event: what makes the next one of an older one (ADR-0026)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final, TypeVar, get_origin

from msgspec import Struct

from jetmesh.declare.annotated import known
from jetmesh.declare.event import EventSpec
from jetmesh.declare.line import calling_line
from jetmesh.declare.signature import Signature, read_signature
from jetmesh.declare.upcaster import Upcaster
from jetmesh.errors import DeclarationError

_Upcast = TypeVar("_Upcast", bound=Callable[[dict[str, Any]], dict[str, Any]])
_MAPPINGS: Final = (dict, Mapping, MutableMapping)


def upcasts(version: int, event_type: type[Struct]) -> Callable[[_Upcast], _Upcast]:
    """Make the next version of an event of an older one; the function itself stays as it is.

        @upcasts(1, OrderValidated)
        def with_when(old: dict[str, Any]) -> dict[str, Any]:
            return {**old, "validated_on": old["validated_at"]}

    `version`: the one that it takes. It returns what version + 1 is, so several steps chain, and
    what the last one returns is read as the event's type is.

    It gets and returns what the JSON says, under the names on the wire; it may change what it got.
    Texts are str, so times are too; a number with a fraction is a Decimal, which loses no digit. It
    is pure: the same for the same, without asking anybody. What it raises, and what does not fit,
    breaks the contract of the message, which becomes a dead letter that names this function.

    Raises:
        DeclarationError: `event_type` is no event, `version` is not older than it, dropped or has
            an upcaster already, or the function does not take one mapping and return one.
    """
    where = calling_line()
    spec = known(event_type, where)

    def declare(function: _Upcast) -> _Upcast:
        _check(spec, version, where)
        _check_signature(function, where)
        spec.upcasters[version] = Upcaster(function, where)
        return function

    return declare


def missing_versions(spec: EventSpec) -> list[int]:
    """The versions that may be stored and that nothing makes the next one of."""
    return [each for each in range(spec.oldest, spec.version) if each not in spec.upcasters]


def _check(spec: EventSpec, version: int, where: str) -> None:
    about = f"{where}: version {version} of {spec.subject!r}"
    if not 1 <= version < spec.version:
        raise DeclarationError(
            f"{about} is not older than {spec.name}, which is version {spec.version}: an upcaster "
            "leads from an older version to the next one, and never back.",
            remedy=f"Name an older one, or write version={version + 1} at {spec.where}.",
        )
    if version < spec.oldest:
        raise DeclarationError(
            f"{about} was dropped: {spec.where} says oldest={spec.oldest}.",
            remedy="Remove the upcaster, or lower oldest.",
        )
    if version in spec.upcasters:
        other = spec.upcasters[version]
        raise DeclarationError(
            f"{about} has an upcaster already: {other.name} ({other.where}).",
            remedy="Remove one of them.",
        )


def _check_signature(function: Callable[..., Any], where: str) -> None:
    name = getattr(function, "__name__", "?")
    read = read_signature(function)
    awaits = read.is_async or inspect.isgeneratorfunction(function)
    if awaits or len(read.parameters) != 1 or not _is_mapping(*read.parameters.values()):
        what = "is no plain function of one mapping"
    elif read.result is Signature.MISSING or not _is_mapping(read.result):
        what = "does not say that it returns a mapping"
    else:
        return
    raise DeclarationError(
        f"{where}: the upcaster {name} {what}.",
        remedy=f"Write def {name}(old: dict[str, Any]) -> dict[str, Any].",
    )


def _is_mapping(annotation: Any) -> bool:
    return (get_origin(annotation) or annotation) in _MAPPINGS
