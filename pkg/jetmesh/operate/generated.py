"""Files written from the declarations and kept with the code: written, or compared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

Contents: TypeAlias = Mapping[Path, str | None]
"""What each file is to hold; None: there is to be no such file."""


def write(contents: Contents) -> list[Path]:
    """Make the files so, and return the paths of those that hold something.

    Raises:
        OSError: the directory cannot be written.
    """
    for path, text in contents.items():
        if text is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
    return [path for path, text in contents.items() if text is not None]


def stale(contents: Contents) -> list[Path]:
    """The files that `write` would make, change or remove."""
    return [path for path, text in contents.items() if read(path) != text]


def read(path: Path) -> str | None:
    """What a file holds; None when there is none."""
    return path.read_text(encoding="utf-8") if path.is_file() else None
