"""A service as a process of its own, for tests that look at it from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from jetmesh.operate.up.broker import Broker
from jetmesh.operate.up.ports import free_port
from jetmesh.testing import eventually

CHILDREN = Path(__file__).parent / "children"
_SHOW_PAGES = ("showing", "working")


class Child:
    """One process of the service in children/<script>.py."""

    def __init__(self, folder: Path, domain: str, url: str, number: int, script: str) -> None:
        self._script = CHILDREN / f"{script}.py"
        self.effects_file = folder / "effects"
        self.port, self.pages = free_port(), free_port()
        self._log = folder / f"child-{number}.log"
        self._environment = {
            **{name: value for name, value in os.environ.items() if "NATS" not in name},
            "CHILD_DOMAIN": domain,
            "CHILD_EFFECTS": str(self.effects_file),
            "JETMESH_SETTINGS": os.devnull,
            "JETMESH__NATS__URL": url,
            "JETMESH__HTTP__PORT": str(self.pages if script in _SHOW_PAGES else self.port),
            "JETMESH__HTTP__HEALTH_PORT": str(self.port),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, does: str = "", **variables: str) -> Child:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(self._script)],
                env={**self._environment, "CHILD_DOES": does, **variables},
                stderr=log,
            )
        return self

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    @property
    def stderr(self) -> str:
        return self._log.read_text()

    @property
    def logged(self) -> list[str]:
        """The log lines, by what they say."""
        return [json.loads(line)["event"] for line in self.stderr.splitlines() if line[:1] == "{"]

    @property
    def sentences(self) -> list[str]:
        """What it wrote for people."""
        return [line for line in self.stderr.splitlines() if line[:1] != "{"]

    @property
    def effects(self) -> list[str]:
        return self.effects_file.read_text().split() if self.effects_file.exists() else []

    async def get(self, path: str, *, timeout: float = 5) -> tuple[int, str]:
        """Status and text; 0 when there is no answer."""
        async with httpx.AsyncClient(trust_env=False) as client:
            try:
                answer = await client.get(f"http://127.0.0.1:{self.port}{path}", timeout=timeout)
            except httpx.TransportError:
                return 0, ""
        return answer.status_code, answer.text

    async def ready(self) -> None:
        async def is_ready() -> bool:
            assert self.process.poll() is None, self.stderr
            return (await self.get("/readyz"))[0] == 200

        await eventually(is_ready, within=20, what="a ready child")

    async def unready(self, reason: str) -> None:
        async def says_why() -> bool:
            status, text = await self.get("/readyz")
            return status == 503 and reason in text

        await eventually(says_why, within=20, what=f"not ready, for {reason!r}")

    async def ended(self, within: float = 15) -> int:
        await eventually(lambda: self.process.poll() is not None, within=within, what="an end")
        return self.process.returncode


@pytest.fixture
def child(tmp_path: Path, broker: Broker, unique: str) -> Iterator[Callable[..., Child]]:
    """Makes processes of one service on the broker, or on another; ends what still runs."""
    made: list[Child] = []

    def make(url: str = "", script: str = "working") -> Child:
        made.append(Child(tmp_path, unique, url or broker.url, len(made), script))
        return made[-1]

    yield make
    for each in made:
        if each._process is not None and each._process.poll() is None:
            each._process.kill()
            each._process.wait()
