"""A tiny project for `jetmesh up`: its services only say what they see."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from jetmesh.operate.up import upfile
from jetmesh.operate.up.ports import free_port
from jetmesh.settings import NatsSettings
from tests import warm
from tests.waiting import wait_until

JETMESH = str(Path(sys.executable).with_name("jetmesh"))

SYSTEM = """
from jetmesh import Sandbox, System
system = System("tiny", services=("tiny_first", "tiny_second"), sandboxes=(
    Sandbox("stand-in", ports={"http": FREE, "other": FREE},
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
    return json.dumps({**os.environ, "PYTHON": " ".join(sys.orig_argv)}).encode()
port = os.environ.get("JETMESH_SANDBOX_HTTP_PORT") or os.environ["JETMESH__HTTP__PORT"]
HTTPServer(("127.0.0.1", int(port)), Answer).serve_forever()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return tiny(tmp_path / "tiny")


def tiny(root: Path) -> Path:
    """Two services and a sandbox that only answer HTTP."""
    root.mkdir()
    (root / "pyproject.toml").write_text('[tool.jetmesh]\nsystem = "tiny_system:system"')
    # several of them start side by side: each tries a port of its own first
    (root / "tiny_system.py").write_text(SYSTEM.replace("FREE", str(free_port())))
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

    def __init__(
        self,
        root: Path,
        *arguments: str,
        port: int | None = 0,
        jetmesh: str = JETMESH,
        stdout: IO[str] | None = None,
        environ: dict[str, str] | None = None,
    ) -> None:
        self.root = root
        self.printed = ""
        self.port = free_port() if port == 0 else port
        asked = ["--port", str(self.port)] if self.port else []
        self.process = subprocess.Popen(
            [jetmesh, "up", *asked, *arguments],
            cwd=root,
            env={"JETMESH__HTTP__PORT": str(free_port()), **(environ or clean_environment())},
            stdout=stdout or subprocess.PIPE,
            stderr=subprocess.PIPE if stdout else subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def state(self) -> upfile.Up:
        found = upfile.running(self.root / ".jetmesh")
        assert found is not None
        return found

    @property
    def operator(self) -> NatsSettings:
        """Who may do everything there."""
        return self.state.access.operator(self.root / ".jetmesh")

    def wait_for(self, pattern: str, within: float = 60.0) -> None:
        wait_until(
            lambda: re.search(pattern, self.printed), within=within, what=lambda: self.printed
        )

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        code = self.process.wait(60)
        self._reader.join(20)
        self._output.close()
        return code

    @property
    def _output(self) -> IO[str]:
        """What it prints; where that goes elsewhere, its errors."""
        output = self.process.stdout or self.process.stderr
        assert output is not None
        return output

    def _read(self) -> None:
        for line in self._output:
            self.printed += line


@pytest.fixture
def start(project: Path) -> Iterator[Callable[..., Up]]:
    """Start `jetmesh up`; whatever the test leaves running is ended."""
    started: list[Up] = []

    def make(*arguments: str, port: int = 0, **environ: str) -> Up:
        started.append(Up(project, *arguments, port=port, environ=clean_environment() | environ))
        return started[-1]

    yield make
    for each in started:
        each.process.terminate()
        each.ended()


def clean_environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("JETMESH", "NATS_", "FORCE_COLOR"))
    }


def command(root: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return warm.command(arguments, cwd=root, env=clean_environment() | environ)


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


def journal(project: Path) -> str:
    file = project / "journal"
    return file.read_text() if file.exists() else ""
