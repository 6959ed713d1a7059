"""Settings: one typed tree, from defaults in code, then a TOML file, then the environment."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from jetmesh.declare.service import Service
from jetmesh.declare.setting import leaves
from jetmesh.errors import SettingsError
from jetmesh.settings.address import (
    Address,
    Login,
    address_of,
    addresses_of,
    asks_for_tls,
    shown,
    without_userinfo,
)
from jetmesh.settings.loaded import Loaded
from jetmesh.settings.names import names_for
from jetmesh.settings.sources import Given, decode, from_environment, from_file
from jetmesh.settings.tree import HttpSettings, LogSettings, NatsSettings, Settings

__all__ = [
    "Address",
    "HttpSettings",
    "Loaded",
    "LogSettings",
    "Login",
    "NatsSettings",
    "Settings",
    "address_of",
    "addresses_of",
    "asks_for_tls",
    "load_settings",
    "shown",
    "without_userinfo",
]

_FILE: Final = Path("jetmesh.toml")


def load_settings(
    services: Sequence[Service],
    *,
    file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    whole: bool = False,
) -> Loaded:
    """Read the settings in effect for `services`.

    The file is `file`, else `$JETMESH_SETTINGS`, else `jetmesh.toml` if there is one. `whole`
    says that there are no other services, so that a section for another one is a mistake; the
    process of one service cannot know, and passes over sections of services and streams that
    are not its own.

    Raises:
        SettingsError: a name is unknown or a value is wrong; it says which and what exists.
    """
    names = names_for(services)
    found = _file(file, environ)
    given = [*from_file(found, names, whole=whole)] if found else []
    given += from_environment(environ, names, whole=whole)
    origins = {".".join(path): "default" for path, _ in leaves(names)}
    origins.update({".".join(each.path): each.origin for each in given})
    settings = decode(_tree(given), Settings)
    addresses_of(settings.nats.url, f"{origins['nats.url']}: nats.url")
    if settings.nats.js_domain and settings.nats.js_api_prefix:
        raise SettingsError(
            f"{origins['nats.js_api_prefix']}: nats.js_api_prefix is set, and nats.js_domain too.",
            remedy="Remove one: a domain is a prefix, $JS.<domain>.API.",
        )
    loaded = Loaded(settings, origins, names)
    loaded.policies(services)
    return loaded


def _file(file: Path | None, environ: Mapping[str, str]) -> Path | None:
    if file is None and environ.get("JETMESH_SETTINGS"):
        file = Path(environ["JETMESH_SETTINGS"])
    if file is None and _FILE.exists():
        file = _FILE
    return file


def _tree(given: Iterable[Given]) -> dict[str, Any]:
    """Later values win over earlier ones."""
    tree: dict[str, Any] = {}
    for each in given:
        *tables, name = each.path
        table = tree
        for step in tables:
            table = table.setdefault(step, {})
        table[name] = each.value
    return tree
