"""Ports: the preferred one, or the next."""

from __future__ import annotations

import socket

import pytest

from jetmesh.errors import UsageError
from jetmesh.operate.up.broker import free_port
from jetmesh.operate.up.ports import Ports, is_free


def test_the_preferred_port_is_taken_when_it_is_free() -> None:
    port = free_port()
    assert Ports().take(port) == port


def test_the_same_port_is_given_once() -> None:
    ports, port = Ports(), free_port()
    assert ports.take(port) < ports.take(port)


def test_a_port_that_somebody_listens_on_is_passed_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        assert not is_free(taken)
        assert Ports().take(taken) > taken


def test_no_free_port_is_told() -> None:
    with pytest.raises(UsageError, match="No port from 65536 on is free"):
        Ports().take(65536)
