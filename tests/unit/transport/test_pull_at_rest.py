"""A durable at rest: its requests are heard of less often, and missed all the same (ADR-0031)."""

from __future__ import annotations

import pytest

from jetmesh.transport.pull import (
    EXPIRES_SECONDS,
    HEARTBEAT_SECONDS,
    REST_HEARTBEAT_SECONDS,
    SILENT_HEARTBEATS,
)
from tests.unit.transport.pulled import SWEEP, Server, started


def at_rest() -> Server:
    """With a request that came after one which brought nothing."""
    server = started(8)
    server.advance(EXPIRES_SECONDS + SWEEP)
    assert server.asked == [8, 8]
    return server


def test_a_durable_at_rest_is_heard_of_less_often() -> None:
    server = at_rest()
    before = server.beats
    server.advance(EXPIRES_SECONDS - 1)
    assert server.beats - before == EXPIRES_SECONDS / REST_HEARTBEAT_SECONDS - 1
    assert server.pull.problem == ""


@pytest.mark.parametrize("last", [SWEEP, 4.0])
def test_a_lost_request_of_a_durable_at_rest_is_missed_too(last: float) -> None:
    """Also when deliveries have put off its heartbeats."""
    server = at_rest()
    server.advance(1)
    server.deliver()
    server.settle()
    server.advance(last)
    assert server.asked == [8, 8]
    server.stopped = True
    server.advance(REST_HEARTBEAT_SECONDS * SILENT_HEARTBEATS + 2 * SWEEP)
    assert server.pull.problem == "durable 'payments' on ORDERS is silent"
    server.stopped = False
    server.read()
    assert server.outstanding == 8


def test_a_durable_at_rest_that_delivers_is_heard_of_as_often_as_any() -> None:
    server = at_rest()
    server.deliver(2)
    server.settle(2)
    server.advance(SWEEP)
    assert server.open[-1].heartbeat == HEARTBEAT_SECONDS


def test_deliveries_in_the_middle_of_a_request_are_no_rest() -> None:
    server = started(8)
    server.advance(1)
    server.deliver()
    server.advance(EXPIRES_SECONDS)
    assert server.open[-1].heartbeat == HEARTBEAT_SECONDS


def test_a_durable_that_fell_silent_is_watched_closely_again() -> None:
    server = at_rest()
    server.lose()
    server.advance(REST_HEARTBEAT_SECONDS * SILENT_HEARTBEATS + 2 * SWEEP)
    assert server.open[-1].heartbeat == HEARTBEAT_SECONDS
