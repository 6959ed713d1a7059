"""A project as `jetmesh init` writes it, and `jetmesh up` on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.tiny_project import Up, command


@pytest.fixture
def garage(tmp_path: Path) -> Path:
    """Written anew; its package is imported by processes of its own alone."""
    made = command(tmp_path, "init", "garage")
    assert made.returncode == 0, made.stderr
    return tmp_path / "garage"


@pytest.fixture
def run_up(garage: Path) -> Iterator[Callable[..., Up]]:
    """Start `jetmesh up` there, and wait until it is."""
    started: list[Up] = []

    def make(*arguments: str, port: int | None = 0) -> Up:
        started.append(up := Up(garage, *arguments, port=port))
        up.wait_for("Ctrl-C stops everything", within=40.0)
        return up

    yield make
    for each in started:
        each.process.terminate()
        each.ended()


def told(garage: Path, *arguments: str) -> str:
    """What a command prints that works."""
    done = command(garage, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout
