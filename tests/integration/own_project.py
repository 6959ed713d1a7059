"""A project as `jetmesh init` writes it, and `jetmesh up` on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.tiny_project import Up, command

_PATIENCE = 90.0
"""Seconds in which a mesh is ready on a machine that has much to do."""


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
        up.wait_for("Ctrl-C stops everything", within=_PATIENCE)
        return up

    yield make
    for each in started:
        each.process.terminate()
        each.ended()


@contextmanager
def two_services(place: Path, *arguments: str) -> Iterator[Up]:
    """A mesh of gate and attendant for the block."""
    told(place, "init", "garage")
    told(place / "garage", "new", "service", "attendant", "--on", "car.parked")
    up = Up(place / "garage", *arguments)
    try:
        up.wait_for("Ctrl-C stops everything", within=_PATIENCE)
        yield up
    finally:
        up.process.terminate()
        up.ended()


@pytest.fixture(scope="module")
def open_garage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One that runs, for tests that only look at it."""
    with two_services(tmp_path_factory.mktemp("open")) as up:
        yield up


def told(garage: Path, *arguments: str) -> str:
    """What a command prints that works."""
    done = command(garage, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout
