"""Which names exist in the tree, for the services at hand, and what each may hold."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, get_args

from msgspec import Meta, Struct
from msgspec.structs import fields

from jetmesh.declare.service import Service
from jetmesh.errors import SettingsError
from jetmesh.protocol.streams import OWN_STREAMS
from jetmesh.settings.tree import PolicyOverride, Settings, StreamOverride

_secret_name = re.compile(r"(?:password|passphrase|secret|token|api_?key)$")


@dataclass(frozen=True, slots=True)
class Leaf:
    """A name that holds a value."""

    type: Any
    sensitive: bool
    """Its value is never printed."""


Names: TypeAlias = "Mapping[str, Leaf | Names]"


def names_for(services: Sequence[Service]) -> dict[str, Any]:
    """The names of the whole tree: those of `Settings`, with the services and streams at hand."""
    tree = dict(struct_names(Settings))
    tree["services"] = {
        service.name: {
            "settings": struct_names(service.settings) if service.settings else {},
            "handlers": {h.name: struct_names(PolicyOverride) for h in service.handlers},
        }
        for service in services
    }
    tree["streams"] = {name: struct_names(StreamOverride) for name in _streams(services)}
    return tree


def struct_names(struct: type[Struct]) -> Mapping[str, Leaf | Names]:
    """The names of a Struct; a field that is a Struct itself has names of its own."""
    return {
        f.encode_name: struct_names(f.type)
        if isinstance(f.type, type) and issubclass(f.type, Struct)
        else Leaf(f.type, _is_sensitive(f.name, f.type))
        for f in fields(struct)
    }


def unknown(path: Sequence[str], known: Iterable[str], origin: str) -> SettingsError:
    """The error for a name that does not exist; it says which ones do."""
    *table, name = path
    names = sorted(known)
    where = ".".join(table) or "the top level"
    folded = {each.lower(): each for each in names}
    close = difflib.get_close_matches(name.lower(), folded, n=1)
    if close:
        remedy = f"Did you mean {folded[close[0]]!r}?"
    else:
        remedy = f"Known in {where}: {', '.join(names)}." if names else f"{where} has no settings."
    return SettingsError(f"{origin}: there is no setting {'.'.join(path)!r}.", remedy=remedy)


def _streams(services: Sequence[Service]) -> set[str]:
    specs = {
        spec
        for service in services
        for taken in (
            *((h.input, *h.outputs) for h in service.handlers),
            *(model.events for model in service.read_models),
        )
        for spec in taken
    }
    return {spec.stream for spec in specs} | {*OWN_STREAMS}


def _is_sensitive(name: str, kind: Any) -> bool:
    marked = any(
        isinstance(extra, Meta) and bool((extra.extra or {}).get("sensitive"))
        for extra in get_args(kind)
    )
    return marked or _secret_name.search(name) is not None
