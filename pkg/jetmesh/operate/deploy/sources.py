"""How the image gets the code of a project: [tool.jetmesh.image] in its pyproject.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from jetmesh.errors import UsageError
from jetmesh.operate.helm.kinds import Image

BASE: Final = (
    "python:3.13-slim@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b"
)
"""What an image is built on where the project names nothing else: 3.13.15 on Debian trixie, for
every platform. To raise it: `docker buildx imagetools inspect python:3.13-slim`."""

_PYPROJECT = "pyproject.toml"
_RELEASED = "contracts/released"
_PIP = "--quiet --no-cache-dir --disable-pip-version-check"


class Locked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pinned requirements and copied folders, instead of the project installed by pip."""

    requirements: tuple[str, ...]
    """Files of pinned requirements with their hashes, installed in this order."""
    copy: tuple[str, ...]
    """Folders and files with the code, each at its place."""
    path: tuple[str, ...] = (".",)
    """Folders below which Python finds the packages."""
    remove: tuple[str, ...] = ()
    """Packages that have done their work once all are installed."""


def image_parts(root: Path) -> dict[str, str]:
    """What fills the templates of the image: its steps, its path, what is sent to the builder.

    Raises:
        UsageError: pyproject.toml cannot be read, or its table is wrong.
    """
    table = _table(root / _PYPROJECT)
    given = dict(table.get("tool", {}).get("jetmesh", {}).get("image", {}))
    base = {"base": _converted(given.pop("base", BASE), Image)}
    if given:
        return base | _of_locked(root, _converted(given, Locked))
    if "project" in table:
        return base | _of_package(root)
    return base | _of_folder()


def _of_locked(root: Path, locked: Locked) -> dict[str, str]:
    copied = dict.fromkeys((*locked.copy, *_released(root)))
    files = " ".join(locked.requirements)
    lines = [
        f"COPY {files} /tmp/",
        "RUN python3 -m venv /app \\",
        f'    && install="/app/bin/pip install {_PIP} --no-deps" \\',
    ]
    lines += [
        f"    && $install --require-hashes --no-build-isolation -r /tmp/{Path(file).name} \\"
        for file in locked.requirements
    ]
    lines.append(f"    && /app/bin/pip uninstall --quiet --yes {' '.join((*locked.remove, 'pip'))}")
    lines += [f"COPY {each} /app/{each}" for each in copied]
    sent = ["*", *(f"!{each}" for each in (*locked.requirements, *copied))]
    path = ":".join(f"/app/{each}".removesuffix("/.") for each in locked.path)
    return {"install": "\n".join(lines), "path": path, "ignored": "\n".join(sent)}


def _of_package(root: Path) -> dict[str, str]:
    lines = ["COPY . /project", *_installed("/project 'jetmesh[cli]'")]
    if (root / "cmd").is_dir():
        lines.append("COPY cmd /app/cmd")
    lines += [f"COPY {each} /app/{each}" for each in _released(root)]
    return {"install": "\n".join(lines), "path": "/app", "ignored": ".*\ndeploy"}


def _of_folder() -> dict[str, str]:
    lines = [*_installed("'jetmesh[cli,web]'"), "COPY . /app/"]
    return {"install": "\n".join(lines), "path": "/app", "ignored": ".*\ndeploy"}


def _released(root: Path) -> list[str]:
    """What was released, if anything was: `jetmesh can-deploy` asks it in the image."""
    return [_RELEASED] if (root / _RELEASED).is_dir() else []


def _installed(what: str) -> list[str]:
    return [
        "RUN python3 -m venv /app \\",
        f"    && /app/bin/pip install {_PIP} {what} \\",
        "    && /app/bin/pip uninstall --quiet --yes pip",
    ]


def _converted(given: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"[tool.jetmesh.image] in {_PYPROJECT} is wrong: {error}.", remedy="Correct it."
        ) from error


def _table(pyproject: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(pyproject.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(f"{pyproject} cannot be read: {error}.", remedy="Correct it.") from error
