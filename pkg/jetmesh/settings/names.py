"""Which names exist in the tree, for the services at hand, and what each may hold."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

from jetmesh.declare.policy import Policy
from jetmesh.declare.service import Service
from jetmesh.declare.setting import struct_names
from jetmesh.declare.topology import StreamTuning
from jetmesh.errors import SettingsError
from jetmesh.protocol.streams import OWN_STREAMS
from jetmesh.settings.tree import HttpSettings, Settings


def names_for(services: Sequence[Service]) -> dict[str, Any]:
    """The names of the whole tree: those of `Settings`, with the services and streams at hand."""
    tree = dict(struct_names(Settings))
    tree["services"] = {
        service.name: {
            "settings": struct_names(service.settings),
            "http": struct_names(HttpSettings),
            "handlers": {h.name: struct_names(Policy) for h in service.handlers},
        }
        for service in services
    }
    streams = {spec.stream for service in services for spec in service.events}
    tree["streams"] = {
        name: struct_names(StreamTuning) for name in (*sorted(streams), *OWN_STREAMS)
    }
    return tree


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
