"""A real nats-server for the whole run; every test has its own names."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from jetmesh.operate.up.broker import Broker
from tests import time_limits
from tests.certificates import Certificates
from tests.examples import TIMES, examples

_numbers = itertools.count(1)

# How fast the machine is decides no test. On CI a failure is that of the change, not of chance.
settings.register_profile(
    "tests",
    deadline=None,
    max_examples=examples(100),
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")) and TIMES == 1,
    print_blob=True,
)
settings.load_profile("tests")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(time_limits)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that are allowed the most time begin first, or at the end all would wait for one."""
    longest: dict[Path, float] = {}
    for item in items:
        longest[item.path] = max(longest.get(item.path, 0), _allowed(item))
    items.sort(key=lambda item: -longest[item.path])


def _allowed(item: pytest.Item) -> float:
    mark = item.get_closest_marker("timeout")
    return float(mark.args[0]) if mark and mark.args else 0.0


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One nats-server with JetStream on a free port."""
    store: Path = tmp_path_factory.mktemp("nats")
    with Broker(store) as started:
        yield started


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A private authority, and certificates for a server and a client on loopback."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def unique() -> str:
    """A domain that no other test of this run uses."""
    return f"t{next(_numbers)}"
