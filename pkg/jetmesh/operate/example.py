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
from jetmesh.operate.sample import sample

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
    value: dict[str, Any] = sample(kind, partial(_leaf, spec), declared=True)
    try:
        check(spec, [msgspec.json.encode(value)])
    except ContractViolation as error:
        raise UsageError(
            f"The examples in {spec.name} are none: {error.message}", remedy="Correct them."
        ) from error
    return value


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
