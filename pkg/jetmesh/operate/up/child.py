"""One supervised process: started, listened to, restarted when it dies, ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final
from urllib.parse import urlsplit

from jetmesh.operate.up import leash
from jetmesh.operate.up.ports import listens

_CHUNK: Final = 65536
_LONGEST_LINE: Final = 16384
_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 10.0
_HEALTHY_SECONDS: Final = 20.0
"""Who lived so long starts again without a longer pause than the first time."""
_PROBE_SECONDS: Final = 0.05
_ANSWER_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Program:
    """What to run, and how to see that it works."""

    name: str
    main: Path
    environ: Mapping[str, str]
    url: str
    probe: str
    """The path that answers 200 once it is ready, and why not before."""


class Child:
    """Keeps a program running."""

    def __init__(
        self,
        program: Program,
        root: Path,
        *,
        on_line: Callable[[str, str], None],
        on_change: Callable[[], None],
    ) -> None:
        self.program = program
        self.pid = 0
        self.problem = "starting"
        """Why it is not ready, empty when it is."""
        self.ready_after = 0.0
        """Seconds from its start until it was ready."""
        self._root = root
        self._port = urlsplit(program.url).port or 0
        self._on_line = on_line
        self._on_change = on_change
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._started_at = monotonic()

    async def run(self) -> None:
        """Run it again and again until it is stopped."""
        pause = _FIRST_PAUSE
        while not self._stopping.is_set():
            code = await self._once()
            if self._stopping.is_set():
                return
            if monotonic() - self._started_at > _HEALTHY_SECONDS:
                pause = _FIRST_PAUSE
            self.problem = f"{_ending(code)}; starting again in {pause:g} s"
            self._on_line("jetmesh", f"{self.program.name} {self.problem}")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def terminate(self) -> None:
        """Ask it to end, and do not start it again."""
        self._stopping.set()
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()

    def kill(self) -> None:
        """End it at once, with whatever it started."""
        self._stopping.set()
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def _once(self) -> int:
        self._started_at = monotonic()
        process = await asyncio.create_subprocess_exec(
            *(*leash_prefix(), sys.executable, str(self.program.main)),
            cwd=self._root,
            env=self.program.environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches it through us, once
        )
        self._process = process
        if self._stopping.is_set():
            process.terminate()
        self.pid = process.pid
        self._on_change()
        probing = asyncio.create_task(self._probe())
        try:
            await self._listen(process)
            return await process.wait()
        finally:
            probing.cancel()
            self.pid = 0

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        if process.stdout is None:
            return
        rest = b""
        while chunk := await process.stdout.read(_CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > _LONGEST_LINE:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._on_line(self.program.name, line.decode(errors="replace"))
        if rest:
            self._on_line(self.program.name, rest.decode(errors="replace"))

    async def _probe(self) -> None:
        self.problem = "starting"
        while self.problem:
            await asyncio.sleep(_PROBE_SECONDS)
            problem = await _problem(self.program.url, self.program.probe)
            if not problem and not listens(self.pid, self._port):
                problem = f"another process answers on port {self._port}"
            self.problem = problem
        self.ready_after = monotonic() - self._started_at
        self._on_change()


def leash_prefix() -> list[str]:
    """What becomes the command that follows it, ended by the kernel when this process dies."""
    return [sys.executable, "-I", "-S", str(Path(leash.__file__)), str(os.getpid())]


async def _problem(url: str, path: str) -> str:
    """What GET answers unless it is 200; `starting` while nobody answers."""
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            with contextlib.closing(writer):
                writer.write(f"GET {path} HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n".encode())
                answer = await reader.read(_CHUNK)
                body = answer.partition(b"\r\n\r\n")[2] or await reader.read(_CHUNK)
    except (OSError, TimeoutError):
        return "starting"
    if b" 200 " in answer.partition(b"\r\n")[0]:
        return ""
    return body.decode(errors="replace").strip().partition("\n")[0] or "not ready"


def _ending(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
