"""What the processes of `jetmesh up` said, in a file for each: kept, and bounded in size."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from jetmesh.operate.up.lines import clean

SUFFIX: Final = ".log"
OLDER: Final = ".log.1"
MOST_BYTES: Final = 4 * 1024 * 1024
"""Of one file; a process has two at most, this and the one before."""


class LogFiles:
    """Writes each line with the time at which it came, as `kubectl logs --timestamps` shows it."""

    def __init__(self, directory: Path, most_bytes: int = MOST_BYTES) -> None:
        self._directory = directory
        self._most = most_bytes
        self._files: dict[str, BinaryIO] = {}

    def write(self, name: str, text: str) -> None:
        """Keep one line of a process; a full disk costs the line, not the mesh."""
        at = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        line = f"{at} {clean(text, colours=False)}\n".encode(errors="replace")
        with contextlib.suppress(OSError):
            file = self._files.get(name) or self._open(name)
            file.write(line)
            if file.tell() > self._most:
                self._turn(name)

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _open(self, name: str) -> BinaryIO:
        self._directory.mkdir(parents=True, exist_ok=True)
        file = (self._directory / f"{name}{SUFFIX}").open("ab", buffering=0)
        self._files[name] = file
        return file

    def _turn(self, name: str) -> None:
        self._files.pop(name).close()
        (self._directory / f"{name}{SUFFIX}").replace(self._directory / f"{name}{OLDER}")
