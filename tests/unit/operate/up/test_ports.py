"""Ports: the preferred one, or the next."""

from __future__ import annotations

import os
import socket
import sys

import pytest

from jetmesh.errors import UsageError
from jetmesh.operate.up.ports import Ports, free_port, is_free


def test_the_preferred_port_is_taken_when_it_is_free() -> None:
    port = free_port()
    assert Ports().take(port, "gate") == port


def test_the_same_port_is_given_once() -> None:
    ports, port = Ports(), free_port()
    assert ports.take(port, "gate") < ports.take(port, "gate")


def test_a_port_that_somebody_listens_on_is_passed_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        assert not is_free(taken)
        assert Ports().take(taken, "gate") > taken


def test_whoever_has_a_port_is_named_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        ports = Ports()
        instead = ports.take(taken, "gate")
        ports.take(taken, "pricing")
    (sentence,) = ports.passed_over
    assert sentence.startswith(f"port {taken} is taken")
    assert sentence.endswith(f": gate listens on {instead} instead")
    if sys.platform == "linux":
        assert f"by process {os.getpid()} (python" in sentence


def test_a_port_that_is_fixed_is_refused_when_somebody_has_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(
            UsageError, match=rf"port {taken} of gate \(http\.port\) is taken"
        ) as told:
            Ports().take_fixed(taken, "gate", "http.port")
    assert told.value.remedy == "End that program, or change http.port."
    assert Ports().take_fixed(taken, "gate", "http.port") == taken


def test_any_free_port_is_given_where_none_is_preferred() -> None:
    ports = Ports()
    first, second = ports.take(0, "gate"), ports.take(0, "pricing")
    assert first > 0
    assert first != second


def test_a_free_port_is_none_that_an_outgoing_connection_may_take_meanwhile() -> None:
    found = [free_port() for _ in range(100)]
    assert len(set(found)) == 100
    assert max(found) < 32768
    above = {port + further for port in found for further in range(1, 20)}
    assert not above.intersection(found), "whoever takes the ports above one meets none of them"


def test_no_free_port_is_told() -> None:
    with pytest.raises(UsageError, match="No port from 65536 on is free"):
        Ports().take(65536, "gate")
