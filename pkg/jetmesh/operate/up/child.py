"""One supervised process: started, listened to, restarted when it dies, ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final
from urllib.parse import urlsplit

from jetmesh.operate.up.ports import listens
from jetmesh.operate.up.spawned import Spawn, Spawned, executed

_CHUNK: Final = 65536
_LONGEST_LINE: Final = 16384
_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 10.0
_HEALTHY_SECONDS: Final = 20.0
"""Who lived so long starts again without a longer pause than the first time."""
_PROBE_SECONDS: Final = 0.05
_LONGER: Final = 1.1
_LONGEST_PROBE_SECONDS: Final = 0.25
"""Sixty that start together would ask 1,200 times a second, and start the later for it."""
_HOLD_SECONDS: Final = 5.0
_MOST_HELD: Final = 1000
_ANSWER_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Program:
    """What to run, and how to see that it works."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str]
    url: str
    probe: str
    """The path that answers 200 once it is ready, and why not before."""
    link: str = ""
    """What follows `url` where a person is to click, such as a token; nobody else is told."""
    title: str = ""
    """What it is, for people."""
    health: str = ""
    """Where that path is, if not below `url`."""
    service: str = ""
    """The service that it runs, perhaps beside others; empty for a sandbox."""
    together: tuple[Program, ...] = ()
    """What runs in one process instead: a service each, with addresses of its own."""

    @property
    def parts(self) -> tuple[Program, ...]:
        """What answers: itself, or what runs together in it."""
        return self.together or (self,)


class Child:
    """Keeps a program running.

    One that cannot start is explained once: what further attempts print is held back, and dropped
    when they end for the same reason.
    """

    def __init__(
        self,
        program: Program,
        root: Path,
        *,
        on_line: Callable[[str, str], None],
        on_change: Callable[[], None],
        spawn: Spawn = executed,
    ) -> None:
        self.program = program
        self.pid = 0
        self.problem = "starting"
        """Why it is not ready, empty when it is."""
        self.ready_after = 0.0
        """Seconds from its start until it was ready."""
        self._root = root
        self._on_line = on_line
        self._on_change = on_change
        self._spawn = spawn
        self._stopping = False
        self._again = False
        self._asked_at = 0.0
        self._wake = asyncio.Event()
        self.explained = ""
        """Why it cannot start, as it was shown; empty when it can."""
        self._last_line = ""
        self._held: list[str] | None = None
        """Lines of this attempt that are not shown yet; None when they are shown at once."""
        self._next: Spawned | None = None
        """It has loaded its modules, and waits until the one before it has ended."""
        self._process: Spawned | None = None
        self._started_at = monotonic()

    async def run(self) -> None:
        """Run it again and again until it is stopped."""
        pause = _FIRST_PAUSE
        while not self._stopping:
            self._wake.clear()
            self._again = False
            code = await self._once()
            if self._again or self._stopping:
                pause = _FIRST_PAUSE
                continue
            if monotonic() - self._started_at > _HEALTHY_SECONDS:
                pause = _FIRST_PAUSE
            self._explain(code, pause)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def terminate(self) -> None:
        """Ask it to end, and do not start it again."""
        self._stopping = True
        self._drop_next()
        self._wake.set()
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()

    async def restart(self, grace: float) -> None:
        """Start it anew: what runs may finish what it has in flight, for `grace` seconds.

        The next process loads its modules meanwhile.
        """
        again, self._again = self._again, True
        if again or self._stopping:
            self._drop_next()  # it may have loaded what has changed since; no second signal
            return
        self._asked_at = monotonic()
        self._wake.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        following = await self._spawned()
        if self._process is not process or self._stopping:
            _kill(following)
            return
        self._next = following
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), grace)
        except TimeoutError:
            self._say(f"{self.program.name} did not end in time; killing it")
            _kill(process)

    def kill(self) -> None:
        """End it at once, with whatever it started."""
        self._stopping = True
        self._drop_next()
        self._wake.set()
        if self._process is not None and self._process.returncode is None:
            _kill(self._process)

    async def _spawned(self) -> Spawned:
        """A process that loads what it needs, and runs once it is told to."""
        command = (*self.program.command, "held")
        return await self._spawn(command, self.program.environ, self._root)

    def _drop_next(self) -> None:
        following, self._next = self._next, None
        if following is not None:
            _kill(following)

    async def _once(self) -> int:
        self._started_at = monotonic()
        self.ready_after = 0.0
        self._last_line = ""
        self._held = [] if self.explained else None
        following, self._next = self._next, None
        process = following or await self._spawned()
        self._process = process
        if self._stopping or self._again:  # asked for while it was being made
            process.terminate()
        if process.stdin is not None:
            process.stdin.write(b"go\n")
            process.stdin.close()
        self.pid = process.pid
        self._on_change()
        probing = asyncio.create_task(self._probe())
        try:
            await self._listen(process)
            return await process.wait()
        finally:
            probing.cancel()
            self.pid = 0

    async def _listen(self, process: Spawned) -> None:
        if process.stdout is None:
            return
        rest = b""
        while chunk := await process.stdout.read(_CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > _LONGEST_LINE:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._line(line)
        if rest:
            self._line(rest)

    def _line(self, raw: bytes) -> None:
        text = raw.decode(errors="replace")
        self._last_line = text.strip() or self._last_line
        if self._held is None:
            self._on_line(self.program.name, text)
        elif len(self._held) < _MOST_HELD:
            self._held.append(text)

    def _show_held(self) -> None:
        held, self._held = self._held, None
        for text in held or ():
            self._on_line(self.program.name, text)

    def _explain(self, code: int, pause: float) -> None:
        """Say why it ended, unless that was said already."""
        name, ending = self.program.name, _ending(code)
        if self.ready_after:
            self.problem = f"{ending}; starting again in {pause:g} s"
            self._say(f"{name} {self.problem}")
            return
        reason = self._last_line or ending
        self.problem = f"cannot start: {reason}"
        if reason != self.explained:
            self.explained = reason
            self._show_held()
            alone = f"`jetmesh run {self.program.service}` runs it alone; "
            self._say(
                f"{name} cannot start: it {ending}. Mend what it says above; "
                f"{alone if self.program.service else ''}"
                "it is tried again until it can, and shown again when it says something else"
            )

    def _say(self, text: str) -> None:
        self._on_line("jetmesh", text)

    async def _first_problem(self) -> str:
        """What keeps it from being ready, of whom it is; empty when all of it is."""
        for part in self.program.parts:
            url = part.health or part.url
            problem = await _problem(url, part.probe)
            port = urlsplit(url).port or 0
            if not problem and not listens(self.pid, port):
                problem = f"another process answers on port {port}"
            if problem:
                return f"{part.name}: {problem}" if self.program.together else problem
        return ""

    async def _probe(self) -> None:
        self.problem = "starting"
        pause = _PROBE_SECONDS
        while self.problem:
            await asyncio.sleep(pause)
            pause = min(pause * _LONGER, _LONGEST_PROBE_SECONDS)
            self.problem = await self._first_problem()
            if monotonic() - self._started_at > _HOLD_SECONDS:
                self._show_held()
        recovered, self.explained = bool(self.explained), ""
        self._show_held()
        self.ready_after = monotonic() - self._started_at
        if self._asked_at and not self._again:
            taken, self._asked_at = monotonic() - self._asked_at, 0.0
            self._say(f"{self.program.name} is ready again after {taken:.1f} s")
        elif recovered:
            self._say(f"{self.program.name} is ready")
        self._on_change()


def _kill(process: Spawned) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


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
