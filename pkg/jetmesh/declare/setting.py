"""What may be set: names as they were declared, and the variable of each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, get_args

from msgspec import Meta, Struct
from msgspec.structs import fields

from jetmesh.declare.line import annotations_of
from jetmesh.errors import DeclarationError

PREFIX: Final = "JETMESH__"

_legal = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_secret_name = re.compile(r"(?:password|passphrase|secret|token|api_?key)$")


@dataclass(frozen=True, slots=True)
class Leaf:
    """A name that holds a value."""

    type: Any
    sensitive: bool
    """Its value is never printed."""


Names: TypeAlias = "Mapping[str, Leaf | Names]"


def struct_names(struct: type[Struct] | None) -> Mapping[str, Leaf | Names]:
    """The names of a Struct, if any; a field that is a Struct itself has names of its own."""
    return {
        f.encode_name: struct_names(f.type)
        if isinstance(f.type, type) and issubclass(f.type, Struct)
        else Leaf(f.type, _is_sensitive(f.name, f.type))
        for f in (fields(struct) if struct else ())
    }


def leaves(names: Names, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Leaf]]:
    """Every name that holds a value, in the order of declaration."""
    for name, below in names.items():
        if isinstance(below, Leaf):
            yield (*path, name), below
        else:
            yield from leaves(below, (*path, name))


def spelled(name: str) -> str:
    """`name` as a part of a variable."""
    return name.upper().replace("-", "_")


def variable(path: tuple[str, ...]) -> str:
    """The environment variable that sets `path`."""
    return PREFIX + "__".join(map(spelled, path))


def check_settings(struct: type[Struct], where: str) -> None:
    """Refuse names that variables could not tell apart, or not spell.

    Raises:
        DeclarationError: it names the fields to change.
    """
    with annotations_of(f"{where}: {struct.__name__}"):
        names = struct_names(struct)
    known: dict[str, tuple[str, ...]] = {}
    for path, _ in leaves(names):
        if not all(map(_legal.fullmatch, path)):
            raise DeclarationError(
                f"{where}: no variable can be named after the setting {'.'.join(path)!r}.",
                remedy="Use a letter from A to Z or '_', then letters, digits, '_' or '-'.",
            )
        other = known.setdefault(variable(path), path)
        if other != path:
            raise DeclarationError(
                f"{where}: the settings {'.'.join(other)!r} and {'.'.join(path)!r} would be set by "
                "the same variable.",
                remedy="Rename one.",
            )


def _is_sensitive(name: str, kind: Any) -> bool:
    marked = any(
        isinstance(extra, Meta) and bool((extra.extra or {}).get("sensitive"))
        for extra in get_args(kind)
    )
    return marked or _secret_name.search(name) is not None
