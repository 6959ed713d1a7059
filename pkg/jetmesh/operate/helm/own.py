"""A service's own settings as values: what nobody may read apart, what must be set marked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import fields

from jetmesh.declare import Service
from jetmesh.declare.setting import leaves, struct_names
from jetmesh.operate.helm.outside import Address
from jetmesh.operate.helm.tree import Group, Node, Value, group_of

Path: TypeAlias = "tuple[str, ...]"


def secrets_of(service: Service) -> list[Path]:
    """The settings that nobody may read."""
    return [path for path, leaf in leaves(struct_names(service.settings)) if leaf.sensitive]


def required_of(service: Service, outside: Iterable[Address]) -> list[Path]:
    """The settings without a default, but addresses for which a sandbox may stand in."""
    stood_in = {name for each in outside for name in (each.required, each.port)}
    found = _required_in(service.settings) if service.settings else ()
    return [path for path in found if path[0] not in stood_in]


def own_settings(service: Service, outside: Iterable[Address]) -> dict[str, Node]:
    """`settings`, and `secrets` where any is to be kept: they go another way into the pods."""
    if service.settings is None:
        return {}
    public = group_of(service.settings, spell=str)  # whatever its author called them
    for path in required_of(service, outside):
        _mark(public, path, "Required.")
    for address in outside:
        _mark(public, (address.required,), "Required without the sandbox.")
    secret = _taken(public, {*secrets_of(service)})
    found: dict[str, Node] = {}
    if public.values:
        found["settings"] = public
    if secret.values:
        text = "They go into a Secret, never into a ConfigMap."
        found["secrets"] = Group(secret.values, text)
    return found


def _required_in(struct: type[Struct], path: Path = ()) -> Iterator[Path]:
    for field in fields(struct):
        if field.required:
            below = (*path, field.encode_name)
            if isinstance(field.type, type) and issubclass(field.type, Struct):
                yield from _required_in(field.type, below)
            else:
                yield below


def _mark(group: Group, path: Path, text: str) -> None:
    """No default is right anywhere: empty says that it was not set."""
    *groups, name = path
    for each in groups:
        below = group.values[each]
        assert isinstance(below, Group)  # noqa: S101 - it is a Struct
        group = below
    node = group.values[name]
    assert isinstance(node, Value)  # noqa: S101 - it is none
    schema = {"anyOf": [{"const": ""}, node.schema]}
    group.values[name] = Value("", schema, f"{node.text} {text}".lstrip())


def _taken(group: Group, paths: set[Path], at: Path = ()) -> Group:
    """What is at `paths`, which is removed from `group`; of a group that is left empty, all."""
    found: dict[str, Node] = {}
    for name, node in [*group.values.items()]:
        here = (*at, name)
        if here in paths:
            found[name] = group.values.pop(name)
        elif isinstance(node, Group):
            below = _taken(node, paths, here)
            if below.values:
                found[name] = below
                if not node.values:
                    del group.values[name]
    return Group(found, group.text)
