"""The settings file of a project, and the port that it gives the broker."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from jetmesh.operate.project import Project
from jetmesh.settings import load_settings

BROKER_PORT: Final = 4222
_LOOPBACK: Final = ("127.0.0.1", "localhost")


def settings_file(project: Project) -> Path:
    """Where the services read their settings, whether or not it is there."""
    given = os.environ.get("JETMESH_SETTINGS")
    return Path(given).resolve() if given else project.root / "jetmesh.toml"


def local_port(project: Project) -> int:
    """The port of `nats.url`, where a file sets it to one on this machine; else 0.

    An address in the environment may be that of a mesh that ran before.
    """
    file = settings_file(project)
    loaded = load_settings([], file=file if file.exists() else Path(os.devnull), environ={})
    parts = urlsplit(loaded.settings.nats.url)
    here = loaded.origins["nats.url"] != "default" and parts.hostname in _LOOPBACK
    return (parts.port or BROKER_PORT) if here else 0
