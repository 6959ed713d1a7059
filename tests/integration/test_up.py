"""`jetmesh up` on a tiny project: real processes, a real broker, and what happens when they die."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jetmesh.operate import upfile
from jetmesh.operate.broker import free_port

JETMESH = str(Path(sys.executable).with_name("jetmesh"))

SYSTEM = """
from jetmesh import Sandbox, System
system = System("tiny", services=("tiny_first", "tiny_second"), sandboxes=(
    Sandbox("stand-in", ports={"http": 18090, "other": 18090},
            environment={"TINY_URL": "http://127.0.0.1:{http}/{other}"}, title="a stand-in"),
))
"""
SERVICE = """
from msgspec import Struct
from jetmesh import Service, event
from tiny_event import Thing
service = Service("{name}")
@service.on(Thing)
def take(thing: Thing) -> None: ...
"""
EVENT = """
from msgspec import Struct
from jetmesh import event
@event("things.made", key="id")
class Thing(Struct, frozen=True):
    id: str
"""
MAIN = """
import os, signal, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
name = Path(__file__).parent.name
journal = Path("journal")
def note(what):
    with journal.open("a") as file: file.write(f"{what} {name}\\n")
note("began")
if Path(f"break-{name}").exists():
    sys.exit(3)
def end(*_):
    if Path(f"stubborn-{name}").exists():
        note("stubborn")
        return
    note("ended")
    os._exit(0)
signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGINT, lambda *_: note("interrupted"))
print("user data \\x1b]0;title\\x07 \\x1b[31mred", flush=True)
class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        waits = self.path == "/readyz" and Path(f"wait-{name}").exists()
        self.send_response(503 if waits else 200)
        self.end_headers()
        self.wfile.write(b"no luck yet" if waits else json_of())
    def log_message(self, *_): pass
def json_of():
    import json
    return json.dumps(dict(os.environ)).encode()
port = os.environ.get("JETMESH_SANDBOX_HTTP_PORT") or os.environ["JETMESH__HTTP__PORT"]
HTTPServer(("127.0.0.1", int(port)), Answer).serve_forever()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two services and a sandbox that only answer HTTP."""
    root = tmp_path / "tiny"
    root.mkdir()
    (root / "pyproject.toml").write_text('[tool.jetmesh]\nsystem = "tiny_system:system"')
    (root / "tiny_system.py").write_text(SYSTEM)
    (root / "tiny_event.py").write_text(EVENT)
    (root / "tiny_first.py").write_text(SERVICE.format(name="first"))
    (root / "tiny_second.py").write_text(SERVICE.format(name="second"))
    for name in ("first", "second", "stand-in"):
        main = root / "cmd" / name / "main.py"
        main.parent.mkdir(parents=True)
        main.write_text(MAIN)
    examples = root / "examples" / "things"
    examples.mkdir(parents=True)
    (examples / "good.json").write_text('{"id": "t 1"}')
    (examples / "templated.json").write_text('{"id": "t-{{Count}}"}')
    return root


class Up:
    """A `jetmesh up` in the background, with everything that it printed."""

    def __init__(self, root: Path, *arguments: str, port: int = 0, **environ: str) -> None:
        self.root = root
        self.printed = ""
        self.port = port or free_port()
        self.process = subprocess.Popen(
            [JETMESH, "up", "--port", str(self.port), *arguments],
            cwd=root,
            env=clean_environment() | environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def state(self) -> upfile.Up:
        found = upfile.running(self.root / ".jetmesh")
        assert found is not None
        return found

    def wait_for(self, pattern: str, within: float = 20.0) -> None:
        eventually(lambda: re.search(pattern, self.printed), within, lambda: self.printed)

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        code = self.process.wait(20)
        self._reader.join(5)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.printed += line


@pytest.fixture
def start(project: Path) -> Iterator[Callable[..., Up]]:
    """Start `jetmesh up`; whatever the test leaves running is ended."""
    started: list[Up] = []

    def make(*arguments: str, **environ: Any) -> Up:
        started.append(Up(project, *arguments, **environ))
        return started[-1]

    yield make
    for each in started:
        each.process.terminate()
        each.ended()


def eventually(
    condition: Callable[[], object],
    within: float = 10.0,
    explain: Callable[[], object] = str,
) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, explain()
        time.sleep(0.02)


def clean_environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("JETMESH", "NATS_", "FORCE_COLOR"))
    }


def command(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [JETMESH, *arguments],
        cwd=root,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def answer(url: str) -> dict[str, str]:
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), 5) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with connection.makefile("rb") as file:
            body = file.read().partition(b"\r\n\r\n")[2]
    environ: dict[str, str] = json.loads(body)
    return environ


def test_up_shows_every_address_and_what_to_try(start: Callable[..., Up]) -> None:
    up = start()
    up.wait_for("Ctrl-C ends everything")
    state = up.state
    assert state.ready
    assert state.nats_url == f"nats://127.0.0.1:{up.port}"
    for url in (each.url for each in (state.services | state.sandboxes).values()):
        assert url in up.printed
    assert f"export NATS_URL={state.nats_url}" in up.printed
    assert 'nats pub things.made "$(cat examples/things/good.json)"' in up.printed
    assert "jetmesh publish things.made examples/things/good.json" in up.printed
    assert "jetmesh trace 't 1'" in up.printed
    assert "templated" not in up.printed


def test_everyone_gets_ports_the_broker_and_the_sandboxes(start: Callable[..., Up]) -> None:
    up = start()
    up.wait_for("Ctrl-C ends everything")
    state = up.state
    service = answer(state.services["first"].url)
    assert service["JETMESH__NATS__URL"] == state.nats_url
    assert state.services["first"].url.endswith(service["JETMESH__HTTP__PORT"])
    sandbox = answer(state.sandboxes["stand-in"].url)
    http, other = (sandbox[f"JETMESH_SANDBOX_{each}_PORT"] for each in ("HTTP", "OTHER"))
    assert http != other  # the preferred one was taken by the first
    assert service["TINY_URL"] == f"http://127.0.0.1:{http}/{other}"
    assert sandbox["JETMESH_SANDBOX_DIR"] == str(up.root / ".jetmesh" / "stand-in")


def test_what_the_caller_sets_wins_over_a_sandbox(start: Callable[..., Up]) -> None:
    up = start(TINY_URL="http://elsewhere")
    up.wait_for("Ctrl-C ends everything")
    assert answer(up.state.services["first"].url)["TINY_URL"] == "http://elsewhere"


def test_without_sandboxes_there_are_none(start: Callable[..., Up]) -> None:
    up = start("--no-sandbox")
    up.wait_for("Ctrl-C ends everything")
    assert up.state.sandboxes == {}


def test_the_topology_is_there_before_the_services(start: Callable[..., Up]) -> None:
    up = start()
    up.wait_for("Ctrl-C ends everything")
    planned = command(up.root, "plan", "--check")
    assert (planned.returncode, planned.stdout) == (0, "The broker is as declared.\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything_in_order(start: Callable[..., Up], number: int) -> None:
    """Services before what they use; nobody gets the signal twice; exit code 0."""
    up = start()
    up.wait_for("Ctrl-C ends everything")
    pids = up.state.pids()
    assert up.end(number) == 0
    assert not any(is_alive(pid) for pid in pids)
    ended = [line for line in (up.root / "journal").read_text().splitlines() if "began" not in line]
    assert sorted(ended[:2]) == ["ended first", "ended second"]
    assert ended[2:] == ["ended stand-in"]
    assert not (up.root / ".jetmesh" / "up.json").exists()


def test_a_signal_while_starting_ends_it_too(start: Callable[..., Up], project: Path) -> None:
    (project / "wait-first").touch()
    up = start()
    eventually(lambda: "began second" in journal(project))
    assert up.end() == 0
    assert "Ctrl-C ends everything" not in up.printed


def test_a_second_signal_ends_at_once(start: Callable[..., Up], project: Path) -> None:
    (project / "stubborn-first").touch()
    up = start()
    up.wait_for("Ctrl-C ends everything")
    pids = up.state.pids()
    up.process.send_signal(signal.SIGINT)
    up.wait_for("once more ends at once")
    assert up.end(signal.SIGINT) == 130
    eventually(lambda: not any(is_alive(pid) for pid in pids))


def test_who_does_not_end_in_time_is_killed(start: Callable[..., Up], project: Path) -> None:
    (project / "stubborn-first").touch()
    (project / "jetmesh.toml").write_text('grace = "10ms"')
    up = start()
    up.wait_for("Ctrl-C ends everything")
    assert up.end() == 0
    assert "first did not end in time" in up.printed


def test_a_service_that_dies_is_started_again(start: Callable[..., Up]) -> None:
    up = start()
    up.wait_for("Ctrl-C ends everything")
    before = up.state.services["first"]
    os.kill(before.pid, signal.SIGKILL)
    up.wait_for(r"first was ended by SIGKILL; starting again in 0\.25 s")
    eventually(lambda: up.state.services["first"].pid not in (0, before.pid))
    assert up.state.services["first"].url == before.url


def test_a_broker_that_dies_is_started_again(start: Callable[..., Up]) -> None:
    up = start()
    up.wait_for("Ctrl-C ends everything")
    before = up.state.broker
    os.kill(before.pid, signal.SIGKILL)
    up.wait_for("the broker ended with exit code -9; starting it again")
    eventually(lambda: up.state.broker.pid not in (0, before.pid))
    assert command(up.root, "plan", "--check").returncode == 0


def test_a_service_that_cannot_start_is_named(start: Callable[..., Up], project: Path) -> None:
    (project / "break-second").touch()
    up = start()
    up.wait_for(r"second ended with exit code 3; starting again in 0\.25 s")
    up.wait_for(r"second ended with exit code 3; starting again in 0\.5 s")
    (project / "break-second").unlink()
    up.wait_for("Ctrl-C ends everything")


def test_a_service_that_is_not_ready_is_named_with_its_reason(
    start: Callable[..., Up], project: Path
) -> None:
    (project / "wait-second").touch()
    up = start()
    up.wait_for("second is not ready: no luck yet")
    assert not up.state.ready
    (project / "wait-second").unlink()
    up.wait_for("Ctrl-C ends everything")


def test_terminal_escapes_of_a_service_are_shown_not_obeyed(start: Callable[..., Up]) -> None:
    up = start()
    up.wait_for("Ctrl-C ends everything")
    assert r"user data \x1b]0;title\x07 red" in up.printed
    assert "\x1b" not in up.printed


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends orphans by itself")
def test_nobody_survives_a_killed_supervisor(start: Callable[..., Up]) -> None:
    up = start()
    up.wait_for("Ctrl-C ends everything")
    pids = up.state.pids()
    assert len(pids) == 4
    up.end(signal.SIGKILL)
    eventually(lambda: not any(is_alive(pid) for pid in pids))
    again = start()
    again.wait_for("Ctrl-C ends everything")


def test_left_overs_of_a_killed_supervisor_are_ended_by_the_next(
    start: Callable[..., Up], project: Path
) -> None:
    (project / "stubborn-first").touch()
    up = start()
    up.wait_for("Ctrl-C ends everything")
    stubborn = up.state.services["first"].pid
    up.end(signal.SIGKILL)
    again = start()
    again.wait_for("ended what a killed mesh had left running: .*first")
    again.wait_for("Ctrl-C ends everything")
    assert not is_alive(stubborn)
    (project / "stubborn-first").unlink()


def test_a_second_up_is_refused(start: Callable[..., Up]) -> None:
    up = start()
    up.wait_for("Ctrl-C ends everything")
    second = command(up.root, "up")
    assert second.returncode == 1
    assert second.stderr == (
        f"A mesh of this project runs already (process {up.process.pid}).\n"
        "End it with `jetmesh down`.\n"
    )


def test_down_waits_until_the_mesh_is_gone(start: Callable[..., Up]) -> None:
    up = start()
    up.wait_for("Ctrl-C ends everything")
    pids = up.state.pids()
    ended = command(up.root / "cmd", "down")  # from any directory of the project
    assert (ended.returncode, ended.stdout) == (0, "The mesh has ended.\n")
    assert not any(is_alive(pid) for pid in pids)
    assert up.ended() == 0
    assert command(up.root, "down").stdout == "No mesh runs here.\n"


def test_clean_forgets_but_not_while_a_mesh_runs(start: Callable[..., Up]) -> None:
    up = start()
    up.wait_for("Ctrl-C ends everything")
    refused = command(up.root, "clean")
    assert refused.returncode == 1
    assert "runs already" in refused.stderr
    up.end()
    assert (up.root / ".jetmesh" / "nats").exists()
    assert command(up.root, "clean").returncode == 0
    assert not (up.root / ".jetmesh").exists()


def test_a_taken_port_is_one_sentence(start: Callable[..., Up]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        up = start(port=port)
        assert up.ended() != 0
    expected = f"The port {port} is taken.\nChoose another with --port, or leave it out.\n"
    assert up.printed == expected


def test_a_store_that_cannot_be_written_is_one_sentence(
    start: Callable[..., Up], project: Path
) -> None:
    (project / "file").touch()
    up = start("--store", "file/below")
    assert up.ended() != 0
    assert re.fullmatch(r"The store directory .*file/below cannot be written.*\n.*\n", up.printed)


def test_an_unknown_setting_is_one_sentence(start: Callable[..., Up], project: Path) -> None:
    (project / "jetmesh.toml").write_text("[htpp]\nport = 1")
    up = start()
    assert up.ended() == 1
    assert "there is no setting 'htpp'. Did you mean 'http'?" in up.printed
    assert len(up.printed.splitlines()) == 1
    assert not (project / "journal").exists()


def test_a_service_without_a_program_is_one_sentence(
    start: Callable[..., Up], project: Path
) -> None:
    (project / "cmd" / "second" / "main.py").unlink()
    up = start()
    assert up.ended() != 0
    assert "second cannot be started: there is no " in up.printed
    assert not (project / "journal").exists()


def journal(project: Path) -> str:
    file = project / "journal"
    return file.read_text() if file.exists() else ""
