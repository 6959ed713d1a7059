"""A real nats-server for the whole run; every test has its own names."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from jetmesh.operate.up.broker import Broker
from tests.certificates import Certificates

_numbers = itertools.count(1)


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
