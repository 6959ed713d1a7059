"""Secrets that `jetmesh up` makes for the services of this machine, and keeps in `.jetmesh/`."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from jetmesh.operate.up.private import write_private

_named = re.compile(r"\{(secret:\w[\w-]*)\}")
_BYTES: Final = 24


def secrets_in(texts: Iterable[str], state: Path) -> Mapping[str, str]:
    """What each `{secret:name}` in `texts` stands for: made once, so that links stay good."""
    wanted = {name for text in texts for name in _named.findall(text)}
    file = state / "secrets.json"
    known = _read(file)
    if missing := wanted - known.keys():
        known |= {name: secrets.token_urlsafe(_BYTES) for name in missing}
        file.parent.mkdir(parents=True, exist_ok=True)
        write_private(file, msgspec.json.encode(known).decode())
    return {name: known[name] for name in wanted}


def _read(file: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError, UnicodeError):
        return {}
