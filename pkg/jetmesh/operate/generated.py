"""Files written from the declarations and kept with the code: written, or compared."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from jetmesh.errors import UsageError

Contents: TypeAlias = Mapping[Path, str | None]
"""What each file is to hold; None: there is to be no such file."""


def write(contents: Contents) -> list[Path]:
    """Make the files so, each whole or not at all, and return those that hold something.

    Raises:
        UsageError: one cannot be written.
    """
    for path, text in contents.items():
        try:
            _make(path, text)
        except OSError as error:
            raise UsageError(
                f"{path} cannot be written: {error.strerror}.",
                remedy="Make room or change its permissions; what was written before it is new.",
            ) from error
    return [path for path, text in contents.items() if text is not None]


def stale(contents: Contents) -> list[Path]:
    """The files that `write` would make, change or remove."""
    return [path for path, text in contents.items() if read(path) != text]


def read(path: Path) -> str | None:
    """What a file holds; None when there is none.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error


def _make(path: Path, text: str | None) -> None:
    if text is None:
        path.unlink()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8", newline="\n")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
