"""Processes that end with whoever started them, stopped or not, however that one ends."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from jetmesh.operate.up.spawned import leash_prefix


class Process:
    """One process at a time under a name; what it prints goes to its log."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        cwd: Path,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.log = log
        self._command = list(command)
        self._cwd = cwd
        self._environ = dict(os.environ if environ is None else environ)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """0 before it was started."""
        return self._process.pid if self._process else 0

    @property
    def code(self) -> int | None:
        """The exit code once it ended; None while it runs."""
        return self._process.poll() if self._process else None

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it. Only from the main thread: the kernel ends it with the thread that did."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*_leash(), *self._command],
                cwd=self._cwd,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended already."""
        if self.runs and self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def kill(self) -> None:
        """End it as a crash would, also when it is stopped."""
        if self._process is not None:
            self.signal(signal.SIGKILL)
            self._process.wait()

    def tail(self, size: int = 3000) -> str:
        """The end of what it printed."""
        return self.log.read_text(errors="replace")[-size:] if self.log.exists() else ""


def run(*command: str) -> str:
    """Run a command that takes no time; what it printed.

    Raises:
        RuntimeError: it failed; with its own words.
    """
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    if answer.returncode:
        raise RuntimeError(f"{' '.join(command)}: {answer.stderr.strip()}")
    return answer.stdout


def _leash() -> list[str]:
    """SIGKILL where possible: a stopped process hears nothing else."""
    setpriv = shutil.which("setpriv")
    return [*leash_prefix(), *([setpriv, "--pdeathsig", "KILL", "--"] if setpriv else [])]
