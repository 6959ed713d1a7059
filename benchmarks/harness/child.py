"""A process that is measured: started, its CPU and memory read from outside, ended by its id."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

_END_SECONDS = 10.0


class ChildFailedError(Exception):
    """A measured process died; the message holds what it said last."""


class Child:
    """One measured process, its output in a file."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        environ: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.log = log
        self.started_at = time.monotonic()
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **(environ or {})},
                cwd=cwd,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def check(self) -> None:
        """Raise ChildFailedError when it has died."""
        code = self._process.poll()
        if code is not None:
            said = self.log.read_text(errors="replace").strip().splitlines()[-12:]
            raise ChildFailedError(f"exited with {code}: " + "\n".join(said))

    def end(self, timeout: float = _END_SECONDS) -> None:
        """Ask it to end; kill it when it does not."""
        if self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def cpu_seconds(self) -> float:
        """User and system time of all its threads since it began."""
        return cpu_seconds(self.pid)


def cpu_seconds(pid: int) -> float:
    """CPU time of a process in nanosecond steps; the ticks of /proc/<pid>/stat are 10 ms."""
    # the CPU clock of another process, as clock_getcpuclockid(3) makes it
    return time.clock_gettime((~pid << 3) | 2)


def memory_mib(pid: int) -> dict[str, float]:
    """Resident memory, and the part of it that is this process's own share (PSS)."""
    fields = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, rest = line.partition(":")
        fields[name] = int(rest.split()[0]) / 1024
    return {"rss": round(fields["Rss"], 1), "pss": round(fields["Pss"], 1)}
