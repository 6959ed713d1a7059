"""What `jetmesh up` is asked for, and what other commands know of the mesh that it runs."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from jetmesh.operate.up.ports import free_port
from jetmesh.transport.control import ControlPlane
from tests.integration.own_project import told
from tests.integration.tiny_project import JETMESH, Up, clean_environment, command, is_alive
from tests.waiting import wait_until


@pytest.fixture
def two(garage: Path) -> Path:
    """A project of two services."""
    told(garage, "new", "service", "attendant", "--on", "car.parked")
    return garage


def test_one_service_of_several_runs_in_as_many_processes_as_one_likes(
    two: Path, run_up: Callable[..., Up]
) -> None:
    up = run_up("--only", "gate", "--replicas", "gate=3")
    services = up.state.services
    assert services.keys() == {"gate", "gate#2", "gate#3"}
    assert len({each.url for each in services.values()}) == 3
    assert all(each.url in up.printed for each in services.values())
    diagnosis = json.loads(command(two, "doctor", "--once", "--json").stdout)
    assert diagnosis["looked_at"]["instances"] == 3
    assert {each["about"] for each in diagnosis["findings"]} == {"attendant", "streams"}
    assert told(two, "down") == "The mesh has ended.\n"
    assert not any(is_alive(each.pid) for each in services.values())


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (("--only", "gat"), "There is no service 'gat'.\nDid you mean gate?"),
        (("--replicas", "gate"), "--replicas takes a service and a number, not 'gate'."),
        (("--replicas", "gate=0"), "--replicas takes a service and a number, not 'gate=0'."),
    ],
)
def test_a_wish_that_cannot_be_met_is_one_sentence(
    garage: Path, arguments: tuple[str, ...], cause: str
) -> None:
    refused = command(garage, "up", "--port", str(free_port()), *arguments)
    assert refused.returncode == 2
    assert cause in refused.stderr


def test_a_port_that_settings_fix_is_kept_or_refused(two: Path, run_up: Callable[..., Up]) -> None:
    fixed = free_port()
    (two / "jetmesh.toml").write_text(f"[services.gate.http]\nport = {fixed}\n")
    with socket.create_server(("127.0.0.1", fixed)):
        refused = command(two, "up", "--port", str(free_port()))
    assert refused.returncode == 2
    assert f"The port {fixed} of gate (services.gate.http.port) is taken" in refused.stderr
    up = run_up()
    assert up.state.services["gate"].url == f"http://127.0.0.1:{fixed}"


def test_the_broker_listens_where_the_settings_file_says(
    garage: Path, run_up: Callable[..., Up]
) -> None:
    """Commands go to that address, so the mesh has to be there."""
    fixed = free_port()
    (garage / "jetmesh.toml").write_text(f'[nats]\nurl = "nats://127.0.0.1:{fixed}"\n')
    up = run_up(port=None)
    assert up.state.nats_url == f"nats://127.0.0.1:{fixed}"
    assert command(garage, "plan", "--check").returncode == 0


def test_settings_are_those_of_the_running_mesh(open_garage: Up) -> None:
    up = open_garage
    shown = json.loads(told(up.root, "settings", "--changed", "--json"))
    values = {
        "nats.url": up.state.nats_url,
        "nats.js_domain": "",
        "nats.js_api_prefix": "",
    }
    for name, each in up.state.services.items():
        values[f"services.{name}.http.port"] = each.url.rpartition(":")[2]
        values[f"services.{name}.http.health_port"] = each.health.rpartition(":")[2]
    assert shown == {n: {"value": v, "origin": "jetmesh up"} for n, v in values.items()}
    assert "A mesh of this project runs" in told(up.root, "settings")


def test_who_asks_a_broker_that_is_gone_is_told_of_the_mesh_that_runs(open_garage: Up) -> None:
    up = open_garage
    stale = f"nats://127.0.0.1:{free_port()}"
    here = f"A mesh of this project runs at {up.state.nats_url}: unset NATS_URL to use it."
    for arguments in (("trace", "car-1"), ("plan",), ("doctor", "--once")):
        done = command(up.root, *arguments, NATS_URL=stale)
        assert done.returncode != 0
        assert here in done.stdout + done.stderr
        assert stale.removeprefix("nats://") in done.stdout + done.stderr


def test_one_service_is_run_alone_on_the_broker_of_the_mesh(
    garage: Path, run_up: Callable[..., Up]
) -> None:
    told(garage, "new", "service", "attendant", "--on", "car.parked")
    up = run_up("--only", "gate")
    alone = subprocess.Popen(
        [JETMESH, "run", "garage.attendant"],
        cwd=garage / "tests",  # from any directory of the project
        env=clean_environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        told(garage, "publish", "car.entered", "examples/car.entered/example.json")
        wait_until(
            lambda: command(garage, "doctor", "--once").returncode == 0,
            within=40.0,
            what=lambda: up.printed + command(garage, "doctor", "--once").stdout,
        )
    finally:
        alone.terminate()
        alone.communicate(timeout=20)
    assert alone.returncode == 0


@pytest.mark.parametrize("name", ["nobody", "garage.nobody"])
def test_a_service_that_does_not_exist_is_not_run(garage: Path, name: str) -> None:
    refused = command(garage, "run", name)
    assert refused.returncode != 0
    assert "nobody" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_misspelt_subject_is_told_once_and_found_by_the_doctor(open_garage: Up) -> None:
    up = open_garage

    async def misspell() -> None:
        async with await ControlPlane.connect(up.operator, name="typist") as control:
            for subject in ("car.enterd", "car.enterd", "car.parkd.p-1", "car.parkd.p-2"):
                await control.publish(subject, b"{}")

    asyncio.run(misspell())
    up.wait_for(r"warning: .* on car\.enterd in CAR.*car\.entered was probably meant.*gate will")
    up.wait_for(r"warning: .* on car\.parkd\.\* in CAR")
    found = json.loads(command(up.root, "doctor", "--once", "--json").stdout)["findings"]
    strays = {each["about"]: each for each in found if each["code"] == "undeclared"}
    assert strays.keys() == {"car.enterd", "car.parkd.*"}
    assert "2 messages" in strays["car.enterd"]["sentence"]
    newest, nearest = strays["car.enterd"]["evidence"]
    assert newest.startswith("the newest is ")
    assert nearest == "the declared subject that is nearest is car.entered"
    assert up.printed.count("on car.enterd in CAR") == 1
