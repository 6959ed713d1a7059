"""What a service remembers of its keys is its alone: no neighbour writes it, and who shows none
reads none.

A state is the last message of its key. Who could store one would give a customer points, let an
order expire that was paid, or have money sent back.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from jetmesh.declare import Topology, permissions_of
from jetmesh.declare.permissions import covers
from jetmesh.declare.state import StateSpec
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol import headers as header
from jetmesh.protocol.deadlines import Deadline, alarm
from jetmesh.protocol.lanes import Origin, schedule
from jetmesh.protocol.times import nanoseconds_of
from jetmesh.transport.control import ControlPlane
from tests.attacks.attacker import attacking
from tests.attacks.conftest import password_of

ORDER, POINTS = "states.fulfilment.orders.p-1", "states.loyalty.accounts.c-1"
HOLDING = {ORDER: "STATES_FULFILMENT_ORDERS", POINTS: "STATES_LOYALTY_ACCOUNTS"}
FORGED = b'{"forged":true}'
REMEMBERED = dict.fromkeys(HOLDING, b'{"kept":true}')
ORIGIN = Origin("payments.captured.p-1", "PAYMENTS", "1", 1_700_000_000_000_000_000)
NEIGHBOURS = ("payments", "notifications", "storefront", "business-dashboard", "clients")
"""One that makes the inputs, one beside it, one that faces people, one that reads, and anybody."""


@pytest_asyncio.fixture
async def remembered(operator: ControlPlane) -> AsyncIterator[ControlPlane]:
    """Each key has a state, and both are as they were when the test has ended."""
    for subject, payload in REMEMBERED.items():
        await operator.publish(subject, payload)
    yield operator
    for subject, stream in HOLDING.items():
        state = (await operator.api(f"STREAM.INFO.{stream}"))["state"]
        assert (state["messages"], state["last_seq"]) == (1, 1)
        last = await operator.last(stream, subject)
        assert last is not None
        assert last.payload == REMEMBERED[subject]


@pytest.mark.parametrize("who", NEIGHBOURS)
async def test_no_neighbour_writes_a_state(
    guarded: Broker, remembered: ControlPlane, who: str
) -> None:
    """With the guard of the next step, which anybody can guess, and without."""
    async with attacking(guarded.url, who, password_of(who)) as attacker:
        for subject, stream in HOLDING.items():
            guard = {header.EXPECTED_SEQUENCE: "1"}
            for headers in ({}, guard, {"Nats-Rollup": "sub"}, {"Nats-Msg-Id": "x"}):
                await attacker.denied(subject, FORGED, headers)
            for verb in ("PURGE", "DELETE", "UPDATE", "MSG.DELETE"):
                await attacker.denied(f"$JS.API.STREAM.{verb}.{stream}", b'{"seq":1}')


@pytest.mark.parametrize("who", NEIGHBOURS)
async def test_who_shows_no_state_reads_none(
    guarded: Broker, remembered: ControlPlane, who: str
) -> None:
    async with attacking(guarded.url, who, password_of(who)) as attacker:
        for subject, stream in HOLDING.items():
            await attacker.denied(f"$JS.API.STREAM.MSG.GET.{stream}", b'{"seq":1}')
            await attacker.denied(f"$JS.API.DIRECT.GET.{stream}", b'{"seq":1}')
            await attacker.denied(f"$JS.API.DIRECT.GET.{stream}.{subject}")
            await attacker.denied(f"$JS.API.CONSUMER.CREATE.{stream}", b"{}")
            await attacker.denied(f"$JS.API.CONSUMER.CREATE.{stream}.{who}-x", b"{}")


async def test_who_shows_states_reads_those_and_no_other_stream(
    guarded: Broker, remembered: ControlPlane
) -> None:
    """The customer's page shows both; its slots are called alike on every stream."""
    who = "customer-dashboard"
    async with attacking(guarded.url, who, password_of(who)) as attacker:
        for stream in HOLDING.values():
            shown = await attacker.tries(f"$JS.API.STREAM.MSG.GET.{stream}", b'{"seq":1}')
            assert shown is not None
            assert "message" in shown
        for stream in ("LANES_fulfilment", "DEADLETTERS", "AUDIT"):
            await attacker.denied(f"$JS.API.STREAM.MSG.GET.{stream}", b'{"seq":1}')
            await attacker.denied(f"$JS.API.DIRECT.GET.{stream}", b'{"seq":1}')
            for slot in (f"{who}-Accounts-1", f"{who}-Orders-1"):
                asked = f"$JS.API.CONSUMER.INFO.{stream}.{slot}"
                assert "not found" in await attacker.refused(asked, b"", {})
                await attacker.denied(f"$JS.API.CONSUMER.CREATE.{stream}.{slot}", b"{}")
                pulled = await attacker.tries(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{slot}", b"1")
                assert not pulled, "there is nobody to ask, and no message"


@pytest.mark.parametrize("who", NEIGHBOURS)
async def test_no_neighbour_tells_a_process_that_its_time_has_come(
    guarded: Broker, remembered: ControlPlane, who: str
) -> None:
    """Neither by the event of the deadline, nor by an alarm of its own for somebody else's lane."""
    overdue = Deadline("fulfilments.overdue", "p-1")
    lane = "lanes.fulfilment.expire.p-1"
    rings = alarm(overdue, lane, ORIGIN, nanoseconds_of("2020-01-01T00:00:00Z"))
    async with attacking(guarded.url, who, password_of(who)) as attacker:
        await attacker.denied("fulfilments.overdue.p-1", FORGED)
        await attacker.denied(lane, FORGED, ORIGIN.headers())
        await attacker.denied(overdue.alarm("fulfilment"), FORGED, rings)
    assert await remembered.last("LANES_fulfilment", "lanes.fulfilment.>") is None


async def test_an_alarm_of_ones_own_lane_reaches_no_state(
    guarded: Broker, remembered: ControlPlane
) -> None:
    who = "payments"
    own = f"lanes.{who}.charge.ORDERS.{ORIGIN.token}.later"
    async with attacking(guarded.url, who, password_of(who)) as attacker:
        for subject in HOLDING:
            due = schedule(subject, datetime(2020, 1, 1, tzinfo=UTC))
            assert "schedule" in await attacker.refused(own, FORGED, due)


def test_a_state_is_granted_to_who_remembers_it_and_read_by_who_shows_it(
    topology: Topology,
) -> None:
    """Of its owner: to publish its keys and to look at them one by one."""
    states = [each for each in topology.events if isinstance(each, StateSpec)]
    assert {each.stream for each in states} == set(HOLDING.values())
    for service in topology.services:
        granted = permissions_of(service, inbox_prefix="_INBOX_x").publish
        shown = {spec.stream for model in service.read_models for spec in model.events}
        for spec in states:
            owns = topology.owners[spec] == service.name
            named = {each for each in granted if spec.stream in each.split(".")}
            named -= {f"$JS.API.STREAM.INFO.{spec.stream}"}
            look = f"$JS.API.DIRECT.GET.{spec.stream}.{spec.subject}.*"
            again = f"$JS.API.STREAM.MSG.GET.{spec.stream}"
            assert named <= ({look} if owns else set()) | (
                {again} if spec.stream in shown else set()
            )
            assert any(covers(each, f"{spec.subject}.x") for each in granted) == owns
