"""A sandbox as a process of its own, as `jetmesh up` starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]


@dataclass
class Sandbox:
    """One sandbox process."""

    name: str
    directory: Path
    http: int
    smtp: int
    host: str = ""
    """The address to listen at; empty: what it chooses by itself."""
    process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host or '127.0.0.1'}:{self.http}"

    def start(self) -> None:
        """Start it, and return once it is healthy."""
        self.process = self.spawn()
        wait_until(self._is_healthy, what=lambda: f"{self.name} did not start: {self.stop()}")

    def _is_healthy(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", trust_env=False).text == "ok\n"
        except httpx.TransportError:
            return False

    def spawn(self) -> subprocess.Popen[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "JETMESH_SANDBOX_HTTP_PORT": str(self.http),
            "JETMESH_SANDBOX_SMTP_PORT": str(self.smtp),
            "JETMESH_SANDBOX_DIR": str(self.directory),
            "JETMESH_SANDBOX_HOST": self.host,
        }
        return subprocess.Popen(
            [sys.executable, str(ROOT / "cmd" / self.name / "main.py")],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Exit code and what was written to standard error."""
        assert self.process is not None
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=20)
        code, self.process = self.process.returncode, None
        return code, errors
