"""Commands whose terminal cannot show what they say, or whose streams take or give nothing."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from jetmesh.operate.up.broker import Broker
from jetmesh.operate.up.ports import free_port
from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane
from tests.integration.command_line import JETMESH, ROOT, said
from tests.integration.tiny_project import Up, clean_environment
from tests.integration.tiny_project import project as project  # noqa: PLC0414 - a fixture
from tests.waiting import wait_until

FULL = Path("/dev/full")
ENCODINGS = ("ascii", "cp1252", "utf-8")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker with the shop's topology on it."""
    with Broker(tmp_path_factory.mktemp("nats")) as broker:
        assert said("apply", url=broker.url).returncode == 0
        yield broker


def shell(line: str, url: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    """`jetmesh` and what follows it, as a shell reads it."""
    nowhere = f"nats://127.0.0.1:{free_port()}"
    return subprocess.run(
        ["bash", "-c", f"exec {JETMESH} {line}"],
        cwd=ROOT,
        env=clean_environment() | {"NATS_URL": url or nowhere} | environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
        timeout=60,
    )


def purchase(key: str) -> str:
    given = json.loads((ROOT / "examples" / "purchases" / "good.json").read_bytes())
    return json.dumps(given | {"purchase_id": key}, ensure_ascii=False)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_a_terminal_cannot_show_is_spelled(broker: Broker, encoding: str) -> None:
    key = f"{encoding}-\N{HOT BEVERAGE}"
    stored = said("publish", "purchases.created", "-", url=broker.url, stdin=purchase(key))
    assert stored.returncode == 0, stored.stderr
    plain = {"LC_ALL": "C", "PYTHONIOENCODING": encoding, "PYTHONUTF8": "1"}
    told = shell(f"trace {key}", broker.url, **plain)
    assert (told.returncode, told.stderr) == (0, "")
    shown = key if encoding == "utf-8" else f"{encoding}-\\u2615"
    assert f"{shown}, " in told.stdout
    data = shell(f"trace {key} --json", broker.url, **plain)
    assert json.loads(data.stdout)[0]["subject"] == "purchases.created"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_doctors_exit_code_is_that_of_its_findings_whatever_the_terminal_shows(
    broker: Broker, encoding: str
) -> None:
    told = shell("doctor --once", broker.url, LC_ALL="C", PYTHONIOENCODING=encoding)
    assert (told.returncode, told.stderr) == (1, ""), "no service runs"
    mark = "\N{BALLOT X}" if encoding == "utf-8" else "x"
    assert f"{mark} No instance of payments answers." in told.stdout


def test_arguments_that_are_no_text_are_no_fault(broker: Broker) -> None:
    told = shell("trace $'p-\\xff'", broker.url, LC_ALL="C.UTF-8")
    assert told.returncode in {1, 2}
    assert "This is a bug" not in told.stderr


@pytest.mark.parametrize(
    "command", ["topology", "topology --format json", "settings --json", "--help", "doctor --once"]
)
@pytest.mark.parametrize(
    ("where", "why"), [(">/dev/full", "No space left on device"), (">&-", "it is closed")]
)
def test_output_that_cannot_be_written_is_a_sentence(command: str, where: str, why: str) -> None:
    told = shell(f"{command} {where}")
    assert told.stderr == f"Standard output cannot be written: {why}.\n"
    assert told.returncode == 2


def test_a_reader_that_has_seen_enough_is_no_failure() -> None:
    read, write = os.pipe()
    os.close(read)
    told = subprocess.run(
        [JETMESH, "topology"],
        stdout=write,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        check=False,
        timeout=60,
    )
    os.close(write)
    assert (told.returncode, told.stderr) == (141, b"")


def test_an_input_that_is_closed_is_a_sentence() -> None:
    told = shell("publish purchases.created - <&-")
    assert told.stderr.splitlines()[0] == "Standard input cannot be read: it is closed."
    assert told.returncode == 2


def test_errors_that_nobody_can_read_keep_the_exit_code() -> None:
    assert [shell(f"nonsense 2>{where}").returncode for where in ("&-", "/dev/full")] == [2, 2]


async def test_events_are_stored_though_nobody_can_be_told_where(broker: Broker) -> None:
    keys = [f"untold-{number}" for number in range(5)]
    lines = "\n".join(map(purchase, keys))
    told = shell(f"publish purchases.created - >/dev/full <<'EOF'\n{lines}\nEOF", broker.url)
    assert told.stderr == "Standard output cannot be written: No space left on device.\n"
    assert told.returncode == 2
    async with await ControlPlane.connect(NatsSettings(url=broker.url), name="test") as control:
        subjects = [m.subject async for m in control.history("PURCHASES", ["*.*.>"])]
    assert {f"purchases.created.{key}" for key in keys} <= set(subjects)


def test_no_socket_takes_the_place_of_a_closed_stream(broker: Broker) -> None:
    """It would send what is printed to the broker."""
    told = shell("plan --check <&- >&- 2>&-", broker.url)
    assert told.returncode == 2
    told = shell("plan --check <&- 2>&-", broker.url)
    assert (told.returncode, told.stdout) == (0, "The broker is as declared.\n")


def test_a_project_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "schemas").write_text("a file where the folder should be")
    told = said("contracts", "--directory", str(tmp_path))
    assert told.returncode == 2
    [sentence, _] = told.stderr.splitlines()
    assert sentence.startswith(f"{tmp_path}/schemas/")
    assert " cannot be written: " in sentence


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_leaves_the_files_that_were_there(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", tmp_path], check=True)
    try:
        assert said("contracts", "--directory", str(tmp_path)).returncode == 0
        file = tmp_path / "asyncapi.yaml"
        file.write_text("an old one\n" * 100)
        (tmp_path / "filler").write_bytes(bytes(os.statvfs(tmp_path).f_bavail * 4096))
        told = said("contracts", "--directory", str(tmp_path))
        assert told.returncode == 2
        assert told.stderr.startswith(f"{file} cannot be written: No space left on device.\n")
        assert file.read_text() == "an old one\n" * 100
        names = sorted(path.name for path in tmp_path.iterdir())
        assert names == ["asyncapi", "asyncapi.yaml", "filler", "permissions.txt", "schemas"]
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_directory_that_is_gone_is_a_sentence(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    told = subprocess.run(
        ["bash", "-c", f"mkdir {gone}; cd {gone}; rmdir {gone}; {JETMESH} topology"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 2
    assert told.stderr.startswith("The current directory is not there any more.\n")


def test_a_failure_is_no_answer() -> None:
    """1 would say that something differs."""
    wrong = {"JETMESH__HTTP__PROT": "1"}
    for command in ("plan", "contracts", "deploy init"):
        assert shell(f"{command} --check", **wrong).returncode == 2


def test_a_mesh_goes_on_though_nobody_can_see_it(project: Path) -> None:
    written = project / ".jetmesh" / "up.json"
    with FULL.open("w") as full:
        up = Up(project, stdout=full)
    try:
        wait_until(lambda: written.exists() and up.state.ready, within=40)
    finally:
        code = up.end()
    assert up.printed.count("Standard output cannot be written: No space left on device.") == 1
    assert code == 2
