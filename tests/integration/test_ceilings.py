"""`jetmesh plan --expect`: without a broker, with one that holds something, with an odd one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jetmesh.cli.ceilings import near_ceilings
from jetmesh.errors import BrokerError
from jetmesh.operate.asking.answers import StreamConfig, StreamInfo, StreamState
from jetmesh.operate.ceilings.load import Load
from jetmesh.operate.ceilings.seen import Seen, on_top_of, seen
from jetmesh.operate.up.broker import Broker
from jetmesh.operate.up.ports import free_port
from jetmesh.testing import mesh
from tests.integration.command_line import jetmesh, said
from tests.integration.one_handler import topology_of, working
from tests.unit.operate.ceilings.yard import Arrived, bell, gate, yard

BUSY = ("--expect", "purchases.created=2000/s", "--expect", "keys=12M/year")
MANY = ("--pods", "payments=300", "--servers", "3")


@pytest.fixture
def nowhere() -> str:
    """An address at which nobody listens."""
    return f"nats://127.0.0.1:{free_port()}"


def test_a_plan_that_would_pass_a_ceiling_is_refused_without_a_broker(nowhere: str) -> None:
    told = jetmesh("plan", *BUSY, *MANY, url=nowhere)
    assert told.returncode == 1
    assert "! 300 pods of payments could have 19,200 deliveries in flight" in told.stdout
    assert "in about 6 months as expected" in told.stdout
    assert "nats.resources.limits.memory in deploy/k8s/chart/values.yaml" in told.stdout
    assert "nats.storage.size in deploy/k8s/chart/values.yaml" in told.stdout
    assert "would be passed." in told.stdout.splitlines()[-1]
    assert "What a broker holds already is not counted: No broker answers" in told.stderr


def test_a_plan_that_fits_is_not_refused(nowhere: str) -> None:
    told = said("plan", "--expect", "purchases.created=10/day", "--pods", "payments=3", url=nowhere)
    assert told.returncode == 0
    assert told.stdout.splitlines()[-1].startswith("No ceiling of ")


def test_programs_read_it_as_json(nowhere: str) -> None:
    told = said("plan", *BUSY, *MANY, "--json", url=nowhere)
    found = json.loads(told.stdout)
    assert told.returncode == 1
    assert found["passed"] == sum(each["state"] == "passed" for each in found["ceilings"]) > 0
    fields = {"code", "about", "state", "sentence", "source", "reached", "remedy"}
    assert all(set(each) == fields for each in found["ceilings"])
    assert all(each["sentence"] and each["source"] and each["remedy"] for each in found["ceilings"])


@pytest.mark.parametrize(
    "wrong",
    [
        ("--expect", "purchases.creatd=1/s"),
        ("--expect", "purchases.created=0/s"),
        ("--expect", "keys=12M/fortnight"),
        ("--pods", "payment=3"),
        ("--pods", "payments=-3"),
        ("--servers", "0"),
        ("--servers", "three"),
        ("--servers", "3", "--within", "soon"),
        ("--servers", "3", "--within", "0s"),
        ("--values", "nowhere.yaml"),
    ],
)
def test_what_means_nothing_is_one_sentence_and_its_remedy(
    wrong: tuple[str, ...], nowhere: str
) -> None:
    told = said("plan", *wrong, url=nowhere)
    assert (told.returncode, told.stdout) == (2, "")
    sentence, remedy = told.stderr.splitlines()
    assert sentence
    assert remedy


async def test_what_a_broker_holds_is_counted(broker: Broker, unique: str) -> None:
    def work(*_: object) -> None: ...

    async with working(broker, unique, work) as (m, _, placed):
        for number in range(5):
            await m.publish(placed(f"k-{number}"))
        await m.settled()
        there = await seen(m.control, topology_of(m))
        held = on_top_of(there, Load()).streams
    assert there.servers == 1
    assert held[unique.upper()].keys == held[f"{unique.upper()}_IN"].keys == 5
    assert held[unique.upper()].bytes > 0


async def test_a_broker_whose_figures_cannot_be_read_is_told_with_a_remedy() -> None:
    class Odd:
        async def api(self, _: str) -> dict[str, Any]:
            return {"config": {"name": 3}, "state": {}}

    odd: Any = Odd()
    with pytest.raises(BrokerError, match="figures cannot be read") as refused:
        await seen(odd, yard())
    assert "Plan without it" in refused.value.remedy


def test_a_broker_that_holds_nothing_changes_nothing(tmp_path: Path) -> None:
    with Broker(tmp_path / "store") as broker:
        told = said("plan", "--servers", "3", url=broker.url)
    assert told.returncode == 0
    assert "with copies on each of 3 servers" in told.stdout
    assert told.stderr == ""


async def test_the_yard_is_a_mesh_that_runs(broker: Broker) -> None:
    """What the ceilings are counted on is no drawing."""
    async with mesh(gate, bell, url=broker.url) as m:
        await m.publish(Arrived("van-1"))
        await m.settled()
        assert len(await m.stored("YARD_OUT")) == 1


def test_a_plan_without_expectations_tells_what_is_near_with_what_is_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def held(keys: int) -> Seen:
        state = StreamState(messages=keys, num_subjects=keys)
        return Seen({"YARD": StreamInfo(StreamConfig("YARD"), state)}, servers=1)

    assert near_ceilings(yard(), held(7_000_000)) == 1
    assert "! YARD gets 0 new keys a day and holds 7,000,000" in capsys.readouterr().out
    assert near_ceilings(yard(), held(5_000_000)) == 0
    assert capsys.readouterr().out.startswith("~ YARD")
    assert near_ceilings(yard(), held(5)) == near_ceilings(yard(), None) == 0
    assert capsys.readouterr().out == ""
