"""Several services in one process: each is ready, measured, logged and blamed by itself."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from jetmesh.operate.up.ports import free_port
from jetmesh.testing import eventually
from jetmesh.transport.control import ControlPlane
from tests.integration.command_line import ROOT
from tests.integration.own_project import told
from tests.integration.tiny_project import JETMESH, Up, clean_environment, command, is_alive
from tests.waiting import wait_until

PATH = os.pathsep.join([str(ROOT / "benchmarks"), os.environ.get("PYTHONPATH", "")])
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def two(garage: Path) -> Path:
    """A project of two services."""
    told(garage, "new", "service", "attendant", "--on", "car.parked")
    return garage


@pytest.fixture
def run(two: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """`jetmesh run` in the background."""
    started: list[subprocess.Popen[str]] = []

    def start(*services: str, **environ: str) -> subprocess.Popen[str]:
        started.append(
            process := subprocess.Popen(
                [JETMESH, "run", *services],
                cwd=two,
                env={**clean_environment(), "JETMESH__LOG__FORMAT": "json", **environ},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        return process

    yield start
    for each in started:
        each.kill()
        each.communicate()


def is_ready(url: str) -> bool:
    try:
        return bool(get(f"{url}/readyz"))
    except OSError:
        return False


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - of loopback
        return str(answer.read().decode())


def test_up_runs_all_services_in_one_process_and_each_has_a_readiness_of_its_own(
    two: Path, run_up: Callable[..., Up]
) -> None:
    up = run_up("--together")
    services = up.state.services
    assert services.keys() == {"gate", "attendant"}
    (pid,) = {each.pid for each in services.values()}
    assert len({each.url for each in services.values()}) == 2
    for name, each in services.items():
        assert get(f"{each.health or each.url}/readyz")
        metrics = get(f"{each.health or each.url}/metrics")
        assert f'service="{name}"' in metrics
        assert not [other for other in services if other != name and f'"{other}"' in metrics]
    diagnosis = json.loads(command(two, "doctor", "--once", "--json").stdout)
    assert diagnosis["looked_at"]["instances"] == 2
    assert {each["about"] for each in diagnosis["findings"]} <= {"streams"}
    for name in services:
        lines = told(two, "logs", "--service", name)
        assert "started" in lines
    assert told(two, "down") == "The mesh has ended.\n"
    assert not is_alive(pid)


def test_run_runs_those_that_are_named_and_ends_them_together(
    two: Path, run_up: Callable[..., Up], run: Callable[..., subprocess.Popen[str]]
) -> None:
    run_up("--only", "gate")
    process = run("gate", "garage.attendant")
    assert process.stdout is not None
    ready: dict[str, dict[str, str]] = {}
    for line in process.stdout:
        if line.startswith("{") and (said := json.loads(line))["event"] == "started":
            ready[said["service"]] = said
        if len(ready) == 2:
            break
    assert ready.keys() == {"gate", "attendant"}
    assert len({each["health"] for each in ready.values()}) == 2
    for each in ready.values():
        wait_until(partial(is_ready, each["health"]), within=60.0)
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    stopped = [json.loads(line) for line in rest.splitlines() if '"stopped"' in line]
    assert {each["service"] for each in stopped} == {"gate", "attendant"}


def test_who_cannot_start_is_named_and_the_others_end_with_it(
    two: Path, run_up: Callable[..., Up], run: Callable[..., subprocess.Popen[str]]
) -> None:
    run_up("--only", "gate")
    module = two / "garage" / "attendant.py"
    module.write_text(
        module.read_text()
        + "\n\nfrom collections.abc import AsyncIterator\n\n\nclass Till: ...\n\n\n"
        "@service.resource\nasync def till() -> AsyncIterator[Till]:\n"
        '    raise RuntimeError("no change left")\n    yield Till()\n'
    )
    process = run("gate", "attendant")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    (blamed,) = [line for line in said.splitlines() if "no change left" in line]
    assert blamed.startswith("attendant: ")
    assert not [line for line in said.splitlines() if line.startswith("gate: ")]


def test_a_port_that_is_taken_is_told_with_the_name_of_its_service(
    two: Path, run: Callable[..., subprocess.Popen[str]]
) -> None:
    port = free_port()
    (two / "jetmesh.toml").write_text(
        f"[services.gate.http]\nport = {port}\n[services.attendant.http]\nport = {port}\n"
    )
    said, _ = run("gate", "attendant").communicate(timeout=60)
    assert f"127.0.0.1:{port} cannot be listened on" in said
    assert "attendant: " in said


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (("run", "gate", "gate"), "gate is named twice."),
        (("run", "gate", "garage.gate"), "gate is named twice."),
        (("run", "gate", "nobody"), "There is no service 'nobody'."),
        (("up", "--together", "--replicas", "gate=2"), "--together runs one process"),
    ],
)
def test_a_wish_that_cannot_be_met_is_one_sentence(
    two: Path, arguments: tuple[str, ...], cause: str
) -> None:
    refused = command(two, *arguments)
    assert refused.returncode == 2
    assert cause in refused.stderr
    assert len(refused.stderr.splitlines()) == 2


def test_sixty_services_fit_into_one_process_and_all_of_them_work(tmp_path: Path) -> None:
    """180 handlers in 15 domains: what goes in at the first one comes out of the last."""
    up = Up(sixty(tmp_path), "--together", environ=clean_environment() | {"PYTHONPATH": PATH})
    try:
        up.wait_for("Ctrl-C stops everything", within=200.0)
        services = up.state.services
        assert len(services) == 60
        (pid,) = {each.pid for each in services.values()}
        asyncio.run(crossed(up))
        status = Path(f"/proc/{pid}/status").read_text()
        used = int(status.partition("VmRSS:")[2].split()[0]) / 1024
        assert used < 250, f"{used:.0f} MiB"
    finally:
        up.process.terminate()
        up.ended()


def sixty(root: Path) -> Path:
    """The generated system of the benchmarks as a project."""
    modules = tuple(f"plant_{number}" for number in range(60))
    for number, module in enumerate(modules):
        (root / f"{module}.py").write_text(
            f"from peers.generated import generated\n\nservice = generated({number})\n"
        )
    (root / "plant_system.py").write_text(
        f'from jetmesh import System\n\nsystem = System("plant", services={modules!r})\n'
    )
    (root / "pyproject.toml").write_text('[tool.jetmesh]\nsystem = "plant_system:system"\n')
    return root


async def crossed(up: Up) -> None:
    """Four messages go through fifteen services each."""
    async with await ControlPlane.connect(up.operator, name="test") as control:
        for place in range(4):
            await control.publish(f"domain0.fact{place}.k", b'{"key": "k", "number": 0}')
        for place in range(4):
            subject = f"domain15.fact{place}.k"
            last = partial(control.last, "DOMAIN15", subject)
            found = await eventually(last, within=60, what=subject)
            assert json.loads(found.payload)["number"] == 15
