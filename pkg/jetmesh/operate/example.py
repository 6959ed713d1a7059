"""An example of an event, made of the examples that its contract declares."""

from __future__ import annotations

from functools import partial
from typing import Any, Final
from uuid import uuid4

import msgspec
from msgspec import inspect

from jetmesh.declare import EventSpec, Topology
from jetmesh.errors import ContractViolation, UsageError
from jetmesh.operate.publish import Checked, check
from jetmesh.operate.sample import declared_in, least, sample

_REMEDY: Final = 'Declare one: Annotated[…, Meta(examples=["…"])].'


def from_outside(topology: Topology) -> list[EventSpec]:
    """The events that somebody else publishes and a handler or a read model here takes."""
    return [spec for spec in topology.from_outside if topology.readers(spec)]


def example(spec: EventSpec) -> dict[str, Any]:
    """The event as JSON has it: of each field its first example, else nothing if it has a default.

    Raises:
        UsageError: a field has neither; or the examples do not keep the contract.
    """
    kind = inspect.type_info(spec.type)
    return _checked(spec, sample(kind, partial(_leaf, spec), declared=True))


def made_up(spec: EventSpec) -> dict[str, Any] | None:
    """The event of all examples that are declared, with the least of its type where there is none.

    None where that cannot be guessed.

    Raises:
        UsageError: an example that the contract declares does not keep it.
    """
    kind, guess = inspect.type_info(spec.type), partial(_guess, spec)
    most = max(map(len, declared_in(kind)), default=0)
    try:
        first, *others = [
            sample(kind, guess, declared=True, nth=nth) for nth in range(max(most, 1))
        ]
        for other in others:
            _checked(spec, other)
        return _checked(spec, first)
    except NotImplementedError:
        return None
    except UsageError:
        if _keeps(spec, sample(kind, guess)):
            raise
        return None  # a guess is to blame, such as one of a text with a pattern


def _keeps(spec: EventSpec, value: dict[str, Any]) -> bool:
    try:
        check(spec, [msgspec.json.encode(value)])
    except ContractViolation:
        return False
    return True


def unique_example(spec: EventSpec) -> tuple[str, Checked]:
    """The example about a key of its own, where the contract lets a text be one; and that key.

    Raises:
        UsageError: as for `example`.
    """
    value = example(spec)
    key = spec.key_name
    if key and isinstance(value.get(key), str):
        own = value | {key: f"example-{uuid4()}"}
        try:
            return own[key], check(spec, [msgspec.json.encode(own)])[0]
        except ContractViolation:
            pass  # a pattern, for instance
    [checked] = check(spec, [msgspec.json.encode(value)])
    return str(value.get(key, "")), checked


def _checked(spec: EventSpec, value: dict[str, Any]) -> dict[str, Any]:
    try:
        check(spec, [msgspec.json.encode(value)])
    except ContractViolation as error:
        raise UsageError(
            f"The examples in {spec.name} are none: {error.message}", remedy="Correct them."
        ) from error
    return value


def _guess(spec: EventSpec, kind: inspect.Type, path: str) -> Any:
    is_key = isinstance(kind, inspect.StrType) and path == spec.key_name
    return "example-1" if is_key else least(kind, path)


def _leaf(spec: EventSpec, kind: inspect.Type, path: str) -> Any:
    if isinstance(kind, inspect.UnionType) and any(
        isinstance(each, inspect.NoneType) for each in kind.types
    ):
        return None
    if isinstance(kind, inspect.StrType) and path == spec.key_name:
        return "example-1"
    raise UsageError(
        f"{spec.name}.{path} has neither an example nor a default, so {spec.subject} has "
        "no example.",
        remedy=_REMEDY,
    )
