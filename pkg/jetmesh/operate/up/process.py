"""Which process is meant: a process id is given again, so its beginning belongs to it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import Final

from msgspec import Struct

_PROCESSES: Final = Path("/proc")
_BOOT: Final = _PROCESSES / "sys" / "kernel" / "random" / "boot_id"
_STATE: Final = 0
_STARTED: Final = 19
"""Fields of /proc/<pid>/stat, counted from behind the name of the program."""


class Process(Struct, frozen=True):
    """One process, and no other that is given its id later."""

    pid: int
    began: str = ""
    """When, as the kernel counts it; empty: it is not known, so nobody is meant."""

    def runs(self) -> bool:
        """Whether it has not ended."""
        return bool(self.began) and began(self.pid) == self.began

    def send(self, number: int) -> bool:
        """Send it a signal; False when it has ended, whoever has its id now."""
        if not hasattr(os, "pidfd_open"):
            if runs := self.runs():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, number)
            return runs
        try:
            descriptor = os.pidfd_open(self.pid)
        except (OSError, OverflowError, ValueError):
            return False
        try:
            # looked at after it was opened: what the descriptor names cannot be another any more
            if runs := self.runs():
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(descriptor, number)
            return runs
        finally:
            os.close(descriptor)


def identified(pid: int) -> Process:
    """The process that has this id now."""
    return Process(pid, began(pid))


def began(pid: int) -> str:
    """When a process began, in words that no other process of its id shares; empty: it ended."""
    if pid <= 0:
        return ""
    if not _PROCESSES.exists():
        command = ["ps", "-o", "lstart=", "-p", str(pid)]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603 - our own arguments
    try:
        # the name of a program may hold anything, parentheses too
        fields = (_PROCESSES / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2]
        state, started = (fields.split()[each] for each in (_STATE, _STARTED))
        return "" if state in "ZX" else f"{_boot()}-{started}"
    except (OSError, IndexError):
        return ""


def _boot() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""
