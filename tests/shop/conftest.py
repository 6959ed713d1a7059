"""The whole shop as `jetmesh up` runs it, in a project of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from jetmesh.operate.up import upfile
from jetmesh.operate.up.ports import free_port
from jetmesh.settings import NatsSettings
from tests import warm
from tests.programs import program
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
ACCESS = "JETMESH__SERVICES__BUSINESS_DASHBOARD__SETTINGS__ACCESS_TOKEN"
SETTINGS = """
# what a killed service had in flight comes back soon
[services.order-validation.handlers.decide]
timeout = "4s"
ack_wait = "4s"
[services.payments.handlers.charge]
timeout = "4s"
ack_wait = "4s"
[services.notifications.handlers.tell_captured]
timeout = "4s"
ack_wait = "4s"
[services.notifications.handlers.tell_declined]
timeout = "4s"
ack_wait = "4s"
[services.notifications.handlers.tell_rejected]
timeout = "4s"
ack_wait = "4s"
"""


class Up:
    """A mesh started by `jetmesh up`."""

    def __init__(self, root: Path, *options: str) -> None:
        self.root = root
        self.options = options
        self.log = root / "up.log"
        # several shops start side by side: none takes a port that another is about to listen on
        self.port = free_port()
        self.broker_port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until every service was ready."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(str(Path(sys.executable).parent / "jetmesh"), "up"),
                    *(f"--port={self.broker_port}", *self.options),
                ],
                cwd=self.root,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={"JETMESH__HTTP__PORT": str(self.port), **_environ()},
                start_new_session=True,
            )
        wait_until(self._is_ready, within=60, what=lambda: self.log.read_text()[-4000:])

    def stop(self) -> int:
        """Ctrl-C; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(60)
        self.process = None
        return code

    def state(self) -> dict[str, Any]:
        """What up.json says now."""
        found: dict[str, Any] = json.loads((self.root / ".jetmesh" / "up.json").read_text())
        return found

    @property
    def nats_url(self) -> str:
        return str(self.state()["nats_url"])

    @property
    def operator(self) -> NatsSettings:
        """Who may do everything there, as the commands are."""
        up = upfile.read(self.root / ".jetmesh")
        assert up is not None
        return up.access.operator(self.root / ".jetmesh")

    def get(self, name: str, path: str) -> Any:
        """JSON of a service's or sandbox's page."""
        state = self.state()
        url = {**state["services"], **state["sandboxes"]}[name]["url"]
        token = state["variables"][ACCESS]
        headers = {"Authorization": f"Bearer {token}"}
        request = urllib.request.Request(f"{url}{path}", headers=headers)  # noqa: S310 - loopback only
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
            return json.load(answer)

    def jetmesh(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run the installed command beside the mesh."""
        return warm.command(arguments, cwd=self.root, env=_environ(), stdin=stdin)

    def said(self, commands: Sequence[Sequence[str]], stdin: str) -> list[str]:
        """What each of many commands prints beside the mesh: one process imports for all."""
        done = subprocess.run(
            [sys.executable, "-m", "tests.shop.many_commands"],
            cwd=self.root,
            env={**_environ(), "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
            capture_output=True,
            text=True,
            input=json.dumps({"commands": commands, "input": stdin}),
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found: list[str] = json.loads(done.stdout)
        return found

    def nats(
        self, *arguments: str, stdin: IO[bytes] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the real nats CLI, as a person would."""
        return subprocess.run(
            [program("nats"), "--server", self.nats_url, *arguments],
            cwd=self.root,
            stdin=stdin,
            env={**os.environ, "NATS_CA": str(self.state().get("ca", ""))},
            capture_output=True,
            text=True,
            check=True,
        )

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()[-4000:]
        try:
            return bool(self.state()["ready"])
        except (OSError, ValueError):
            return False


@contextmanager
def running(root: Path, *options: str, settings: str = SETTINGS) -> Iterator[Up]:
    """A project with the shop's deployables, up until the block ends; it must end cleanly."""
    root.joinpath("pyproject.toml").write_text('[tool.jetmesh]\nsystem = "shop.system:system"\n')
    root.joinpath("jetmesh.toml").write_text(settings)
    root.joinpath("cmd").symlink_to(ROOT / "cmd")
    root.joinpath("examples").symlink_to(ROOT / "examples")
    up = Up(root, *options)
    try:
        up.start()
        yield up
    finally:
        if up.process is not None:
            assert up.stop() == 0, up.log.read_text()[-4000:]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One running shop for the tests of a module."""
    with running(tmp_path_factory.mktemp("shop")) as up:
        yield up


def _environ() -> dict[str, str]:
    mine = ("JETMESH", "NATS_URL", "FORCE_COLOR")
    return {name: value for name, value in os.environ.items() if not name.startswith(mine)}
