"""Processes that tests start, each ended by the test that started it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_END_SECONDS = 10


@contextmanager
def running(command: Sequence[str], environ: Mapping[str, str], log: Path) -> Iterator[int]:
    """Run `command` for the block; its process id."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env={**os.environ, **environ}, stdout=output, stderr=output
        )
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
