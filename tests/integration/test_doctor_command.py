"""`jetmesh doctor` as people and scripts call it: on a whole running system, and on none."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from jetmesh.operate.up.broker import Broker
from jetmesh.operate.up.ports import free_port
from jetmesh.transport.control import ControlPlane
from tests.integration.tiny_project import JETMESH, Up, clean_environment, command
from tests.waiting import wait_until

SYSTEM = """
from jetmesh import System
system = System("tiny", services=("tiny_maker", "tiny_reader"))
"""
SERVICES = {
    "maker": """
from msgspec import Struct
from jetmesh import Service, event

@event("raws.given", key="id")
class Given(Struct, frozen=True):
    id: str

@event("things.made", key="id", decision="things.*")
class Made(Struct, frozen=True):
    id: str

service = Service("maker", version="1.2.0")

@service.on(Given)
def make(given: Given) -> Made:
    return Made(given.id)
""",
    "reader": """
from jetmesh import Service
from tiny_maker import Made
service = Service("reader")

@service.on(Made)
async def read(made: Made) -> None: ...
""",
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Two services that really run, under `jetmesh up`."""
    up = Up(project(tmp_path_factory.mktemp("running") / "tiny"))
    try:
        up.wait_for("Ctrl-C stops everything", within=40)
        yield up
    finally:
        up.end()


def project(root: Path) -> Path:
    """The files of a system of two services."""
    root.mkdir()
    (root / "pyproject.toml").write_text('[tool.jetmesh]\nsystem = "tiny_system:system"')
    (root / "tiny_system.py").write_text(SYSTEM)
    for name, text in SERVICES.items():
        (root / f"tiny_{name}.py").write_text(text)
        main = root / "cmd" / name / "main.py"
        main.parent.mkdir(parents=True)
        main.write_text(
            f"import sys; sys.path.insert(0, {str(root)!r})\n"
            f"from jetmesh import run\nfrom tiny_{name} import service\nrun(service)\n"
        )
    return root


def doctor(root: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return command(root, "doctor", *arguments, **environ)


def test_a_whole_running_system_gets_a_clean_bill_of_health(running: Up) -> None:
    told = doctor(running.root, "--interval", "0.5")
    assert (told.returncode, told.stderr) == (0, ""), told.stdout
    assert "✓ All is well." in told.stdout
    assert "7 streams, 4 durables, 2 services, 2 instances, 0 dead letters" in told.stdout
    assert "; twice, " in told.stdout


def test_a_process_that_does_not_answer_is_a_problem(running: Up) -> None:
    reader = running.state.services["reader"].pid
    os.kill(reader, signal.SIGSTOP)
    try:
        told = doctor(running.root, "--interval", "0.5", "--json")
    finally:
        os.kill(reader, signal.SIGCONT)
    assert told.returncode == 1
    data = json.loads(told.stdout)
    assert data["exit_code"] == 1
    assert ("service-absent", "reader") in [(f["code"], f["about"]) for f in data["findings"]]
    wait_until(lambda: doctor(running.root, "--once").returncode == 0, within=30)


async def test_warnings_count_only_when_asked_for(running: Up) -> None:
    """An orphan is one."""
    config = {"durable_name": "old", "ack_policy": "explicit"}
    body = {"stream_name": "THINGS", "config": config, "action": "create"}
    async with await ControlPlane.connect(running.operator, name="test") as control:
        await control.api("CONSUMER.CREATE.THINGS.old", body)
        try:
            lenient = doctor(running.root, "--once")
            strict = doctor(running.root, "--once", "--strict")
        finally:
            await control.api("CONSUMER.DELETE.THINGS.old")
    assert "No service declares the durable THINGS/old." in lenient.stdout
    assert (lenient.returncode, strict.returncode) == (0, 1)


def test_nobody_to_ask_is_told_from_a_problem_by_the_exit_code(tmp_path: Path) -> None:
    tiny, url = project(tmp_path / "tiny"), f"nats://127.0.0.1:{free_port()}"
    told = doctor(tiny, "--nats-url", url)
    assert told.returncode == 2
    assert f"No broker answers at {url}." in told.stdout
    data = json.loads(doctor(tiny, "--nats-url", url, "--json").stdout)
    assert (data["asked"], data["exit_code"]) == (False, 2)
    assert [finding["code"] for finding in data["findings"]] == ["broker-absent"]


def test_wrong_settings_are_no_problem_of_the_mesh(tmp_path: Path) -> None:
    wrong = doctor(project(tmp_path / "tiny"), JETMESH__HTTP__PROT="1")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "there is no setting 'http.prot'" in wrong.stderr


def test_options_that_contradict_one_another_are_refused(tmp_path: Path) -> None:
    wrong = doctor(project(tmp_path / "tiny"), "--once", "--watch", "5")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "--once and --watch contradict" in wrong.stderr


def test_watching_prints_a_line_of_json_for_each_look_until_it_is_ended(tmp_path: Path) -> None:
    """Nothing was ever applied there, so the last look has a problem."""
    with Broker(tmp_path / "nats") as broker:
        process = subprocess.Popen(
            [JETMESH, "doctor", "--watch", "0.2", "--interval", "0.2", "--json"],
            cwd=project(tmp_path / "tiny"),
            env=clean_environment() | {"NATS_URL": broker.url},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            with process.stdout as lines:
                first, second = (json.loads(next(lines)) for _ in range(2))
                process.send_signal(signal.SIGINT)
                assert process.wait(20) == 1
        finally:
            process.kill()
    assert first["between_looks"] is None
    assert second["between_looks"] >= 0.2
    assert second["findings"][0]["code"] == "not-applied"
