"""`jetmesh can-deploy` as people, CI and helm call it: its sentences, its JSON, its exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from jetmesh.operate.up.broker import Broker
from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane
from tests.integration.command_line import jetmesh

SYSTEM = """
from msgspec import Struct
from jetmesh import Service, System, event

@event("orders.validated", key="order_id")
class Validated(Struct, frozen=True):
    order_id: str
    {field}: str

service = Service("payments", version="1.0.0")
system = System("tiny", services=("{module}",))

@service.on(Validated)
def charge(order: Validated) -> None: ...
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path / "nats") as started:
        yield started


def project(folder: Path, field: str) -> Path:
    folder.mkdir()
    (folder / "tiny.py").write_text(SYSTEM.format(field=field, module="tiny"))
    (folder / "pyproject.toml").write_text('[tool.jetmesh]\nsystem = "tiny:system"\n')
    return folder


async def stored(broker: Broker, count: int) -> None:
    payload = json.dumps({"order_id": "p", "validated_at": "noon"}).encode()
    async with await ControlPlane.connect(NatsSettings(url=broker.url), name="test") as control:
        for _ in range(count):
            await control.publish("orders.validated.p", payload)


async def applied(broker: Broker, folder: Path) -> None:
    done = jetmesh("apply", url=broker.url, cwd=folder)
    assert done.returncode == 0, done.stderr


async def test_it_says_yes_with_0_and_no_with_1(broker: Broker, tmp_path: Path) -> None:
    before = project(tmp_path / "before", "validated_at")
    after = project(tmp_path / "after", "checked_at")
    await applied(broker, before)
    await stored(broker, 3)
    yes = jetmesh("can-deploy", url=broker.url, cwd=before)
    assert (yes.returncode, yes.stderr) == (0, "")
    assert yes.stdout == "3 of 3 stored orders.validated decode\nIt can be deployed.\n"
    no = jetmesh("can-deploy", url=broker.url, cwd=after)
    assert no.returncode == 1
    assert "0 of 3 stored orders.validated decode" in no.stdout
    assert "missing required field `checked_at`, the first is ORDERS:1" in no.stdout
    accepted = jetmesh("can-deploy", "--accept", "3", url=broker.url, cwd=after)
    assert accepted.returncode == 0


async def test_its_json_names_versions_sequences_and_counts(broker: Broker, tmp_path: Path) -> None:
    before = project(tmp_path / "before", "validated_at")
    await applied(broker, before)
    await stored(broker, 3)
    after = project(tmp_path / "after", "checked_at")
    done = jetmesh("can-deploy", "--json", url=broker.url, cwd=after)
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["deployable"] is False
    (event,) = told["events"]
    assert event["subject"] == "orders.validated"
    assert (event["stored"], event["decode"], event["unreadable"]) == (3, 0, 3)
    assert event["versions"] == {"1": 3}
    assert event["failures"][0]["first"] == "ORDERS:1"
    assert event["readers"] == [
        {"reader": "payments.charge", "first": 1, "is_handler": True, "unreadable": 3, "waits": 0}
    ]
    assert {"stream": "ORDERS", "first": 1, "last": 3} in told["streams"]


async def test_without_a_broker_it_is_not_known_with_2(tmp_path: Path) -> None:
    folder = project(tmp_path / "tiny", "validated_at")
    done = jetmesh("can-deploy", url="nats://127.0.0.1:1", cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    sentence, remedy = done.stderr.splitlines()
    assert sentence.startswith("No broker answers")
    assert "jetmesh up" in remedy
