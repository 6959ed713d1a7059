"""Whoever wants to hide what was done, or to blame another, whatever identity they have."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from jetmesh.declare import Topology, permissions_of
from jetmesh.operate.audit import AuditRecord, Entry, entries, recorded
from jetmesh.operate.identities import CLIENT, OPERATOR
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.lanes import Origin, schedule
from jetmesh.transport.control import ControlPlane
from tests.attacks.attacker import attacking
from tests.attacks.conftest import password_of

ORIGIN = Origin("orders.validated.p-1", "ORDERS", "1", 1_700_000_000_000_000_000)
RECORD = AuditRecord(act="drop", what=("DEADLETTERS:17",), count=1)


@pytest.fixture(params=["payments", "business-dashboard", CLIENT])
def hostile(request: pytest.FixtureRequest) -> str:
    """Who has an identity that is not the operator's."""
    name: str = request.param
    return name


def never(_: str) -> None:
    pytest.fail("it was not recorded")


async def test_a_hostile_service_can_neither_write_read_nor_remove_what_was_done(
    guarded: Broker, operator: ControlPlane, hostile: str
) -> None:
    async with recorded(operator, RECORD, never):
        pass
    async with attacking(guarded.url, hostile, password_of(hostile)) as attacker:
        for name in (hostile, OPERATOR):
            await attacker.denied(f"audit.{name}.drop", b"{}")
        for asked in (
            "MSG.GET",
            "PURGE",
            "MSG.DELETE",
            "DELETE",
            "UPDATE",
            "RESTORE",
            "SNAPSHOT",
        ):
            await attacker.denied(f"$JS.API.STREAM.{asked}.AUDIT", b'{"seq":1}')
        await attacker.denied("$JS.API.DIRECT.GET.AUDIT", b'{"seq":1}')
        await attacker.denied("$JS.API.DIRECT.GET.AUDIT.audit.operator.drop")
        await attacker.denied("$JS.API.CONSUMER.CREATE.AUDIT", b"{}")
    assert [each.by for each in await all_of(operator)] == [OPERATOR, OPERATOR]


async def test_a_hostile_service_cannot_have_the_broker_write_in_its_place(
    guarded: Broker, operator: ControlPlane
) -> None:
    headers = {**ORIGIN.headers(), **schedule("audit.operator.drop", datetime.now(UTC))}
    async with attacking(guarded.url, "payments", password_of("payments")) as attacker:
        own = f"lanes.payments.charge.ORDERS.{ORIGIN.token}.later"
        assert "schedule" in await attacker.refused(own, b"{}", headers)
    assert await all_of(operator) == []


async def test_not_even_the_operator_removes_what_was_done(
    guarded: Broker, operator: ControlPlane
) -> None:
    async with recorded(operator, RECORD, never):
        pass
    before = await all_of(operator)
    info = await operator.api("STREAM.INFO.AUDIT")
    async with attacking(guarded.url, OPERATOR, password_of(OPERATOR)) as attacker:
        for verb, body in (("MSG.DELETE", {"seq": 1}), ("PURGE", {})):
            answer = await attacker.tries(f"$JS.API.STREAM.{verb}.AUDIT", json.dumps(body).encode())
            assert answer is not None
            assert "not permitted" in answer["error"]["description"]
        for undone in ("deny_delete", "deny_purge"):
            body = {**info["config"], undone: False}
            answer = await attacker.tries("$JS.API.STREAM.UPDATE.AUDIT", json.dumps(body).encode())
            assert answer is not None
            assert "can not cancel" in answer["error"]["description"]
        await attacker.denied("$JS.API.STREAM.DELETE.AUDIT")
        await attacker.denied("$JS.API.STREAM.RESTORE.AUDIT", b"{}")
        for how in ("all", "sub"):
            await attacker.refused("audit.operator.drop", b"{}", {"Nats-Rollup": how})
    assert await all_of(operator) == before


async def test_not_even_the_operator_speaks_in_the_name_of_another(
    guarded: Broker, operator: ControlPlane
) -> None:
    async with attacking(guarded.url, OPERATOR, password_of(OPERATOR)) as attacker:
        for name in ("payments", CLIENT):
            await attacker.denied(f"audit.{name}.drop", b"{}")
    assert await all_of(operator) == []


def test_no_service_is_granted_anything_of_what_was_done(topology: Topology) -> None:
    for service in topology.services:
        needed = permissions_of(service, inbox_prefix="_INBOX_x")
        granted = (*needed.publish, *needed.subscribe)
        assert not [each for each in granted if "audit" in each.lower().split(".")]


async def all_of(control: ControlPlane) -> list[Entry]:
    return [each async for each in entries(control)]
