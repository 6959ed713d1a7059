"""The files of the repository, as whoever clones it gets them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHOWN = {".ci"}
BUILT = {"__pycache__", "dist", "build", "node_modules"}
OF_GIT = ".git"
"""A folder, or in a linked worktree a file that says where the folder is."""


def _files() -> Iterator[Path]:
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(
            name
            for name in folders
            if name in SHOWN or not (name.startswith(".") or name in BUILT or "egg-info" in name)
        )
        yield from (Path(folder, name) for name in sorted(names) if name != OF_GIT)


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def files() -> list[Path]:
    """Every file that is no build product."""
    return list(_files())


@pytest.fixture(scope="session")
def sources(files: list[Path]) -> list[Path]:
    """Every Python file."""
    return [path for path in files if path.suffix == ".py"]
