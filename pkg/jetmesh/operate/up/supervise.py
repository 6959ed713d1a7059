"""`jetmesh up`: the broker, the sandboxes and every service: started, watched, ended together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final, TypeVar

import msgspec

from jetmesh.errors import JetmeshError, UsageError
from jetmesh.operate.project import Project
from jetmesh.operate.up import upfile
from jetmesh.operate.up.broker import Broker, check_version, find_server
from jetmesh.operate.up.child import Child, Program, leash_prefix
from jetmesh.operate.up.ports import Ports, is_free
from jetmesh.operate.up.prepare import Prepared
from jetmesh.operate.up.programs import programs
from jetmesh.operate.up.screen import Address, Screen, examples
from jetmesh.operate.up.upfile import BrokerAddress, Running, Up

_T = TypeVar("_T")
_BROKER_PORT: Final = 4222
_WATCH_SECONDS: Final = 0.25
_BROKER_PAUSE: Final = 1.0
_SLOW_SECONDS: Final = 5.0
"""Who is not ready after so long is named, with the reason; and again after each repetition."""
_AFTER_GRACE: Final = 2.0


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    reference: str = ""
    port: int = 0
    """The broker's port; 0 is 4222 or the next free one."""
    store: Path | None = None
    sandbox: bool = True


def up(project: Project, options: Options, screen: Screen) -> int:
    """Run the mesh of `project` until SIGINT or SIGTERM, and return the exit code.

    Raises:
        JetmeshError: it cannot be started; nothing is left running.
    """
    with upfile.locked(project.state):
        left = upfile.end_orphans(project.state)
        if left:
            screen.say(f"stopped what a killed mesh had left running: {', '.join(left)}")
        try:
            return asyncio.run(Supervisor(project, options, screen).run())
        finally:
            upfile.forget(project.state)


class Supervisor:
    """Everything that `up` started, and the order of its end."""

    def __init__(self, project: Project, options: Options, screen: Screen) -> None:
        self._project = project
        self._options = options
        self._screen = screen
        self._ports = Ports()
        self._began = monotonic()
        self._ended = asyncio.Event()
        self._services: list[Child] = []
        self._sandboxes: list[Child] = []
        self._running: dict[Child, asyncio.Task[None]] = {}
        self._ready = False
        self._grace = 0.0
        self._broker = Broker(
            options.store or project.state / "nats",
            port=self._broker_port(),
            prefix=leash_prefix(),
        )

    async def run(self) -> int:
        """Start, wait for the end, stop; 0 unless a second signal cut the end short."""
        check_version(find_server())
        self._on_signals()
        preparing = asyncio.create_task(self._prepare())
        await asyncio.sleep(0)  # the system loads while the broker starts
        try:
            self._broker.start()
            self._note()
            prepared = await self._unless_ended(preparing)
            if prepared is not None:
                await self._serve(prepared)
        finally:
            await self._stop(preparing)
        return 0

    async def _serve(self, prepared: Prepared) -> None:
        self._grace = prepared.grace
        wanted = prepared.sandboxes if self._options.sandbox else []
        environ = self._environ()
        sandboxes, services = programs(self._project, prepared, wanted, self._ports, environ)
        self._sandboxes = [self._child(program) for program in sandboxes]
        self._services = [self._child(program) for program in services]
        watching = asyncio.create_task(self._watch_broker())
        everyone = [*self._sandboxes, *self._services]
        self._screen.expect([child.program.name for child in everyone])
        for child in everyone:
            self._running[child] = asyncio.create_task(child.run())
        with self._screen.starting(everyone):
            await self._unless_ended(asyncio.create_task(self._all_ready(everyone)))
        if not self._ended.is_set():
            self._ready = True
            self._note()
            self._welcome(prepared)
            await self._ended.wait()
        watching.cancel()

    async def _prepare(self) -> Prepared:
        """Load and provision in a process of its own, to keep this one small."""
        process = await asyncio.create_subprocess_exec(
            *leash_prefix(),
            *(sys.executable, "-m", "jetmesh.operate.up.prepare", self._options.reference),
            cwd=self._project.root,
            env=self._environ(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            printed, problem = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            raise
        if process.returncode:
            raise JetmeshError(_last_words(problem))
        return msgspec.json.decode(printed, type=Prepared)

    def _environ(self) -> dict[str, str]:
        environ = {**os.environ, "JETMESH__NATS__URL": self._broker.url, "PYTHONUNBUFFERED": "1"}
        # this broker has JetStream itself, whatever production needs
        environ |= {"JETMESH__NATS__JS_DOMAIN": "", "JETMESH__NATS__JS_API_PREFIX": ""}
        if environ.get("JETMESH_SETTINGS"):  # they run in the root of the project, we may not
            environ["JETMESH_SETTINGS"] = str(Path(environ["JETMESH_SETTINGS"]).resolve())
        if self._screen.in_terminal:
            environ.setdefault("JETMESH__LOG__FORMAT", "console")
            environ["FORCE_COLOR"] = "1"
        return environ

    # watching

    async def _all_ready(self, everyone: Sequence[Child]) -> None:
        named_at = monotonic()
        while any(child.problem for child in everyone):
            await asyncio.sleep(_WATCH_SECONDS / 5)
            if monotonic() - named_at > _SLOW_SECONDS:
                named_at = monotonic()
                for child in everyone:
                    if child.problem:
                        self._screen.say(f"{child.program.name} is not ready: {child.problem}")

    async def _watch_broker(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            code = self._broker.poll()
            if code is None:
                continue
            self._screen.say(f"the broker ended with exit code {code}; starting it again")
            try:
                self._broker.start()
            except JetmeshError as error:
                self._screen.say(str(error))
                await asyncio.sleep(_BROKER_PAUSE)
            self._note()

    def _welcome(self, prepared: Prepared) -> None:
        titles = {sandbox.name: sandbox.title for sandbox in prepared.sandboxes}
        sandboxes = [child.program for child in self._sandboxes]
        services = [child.program for child in self._services]
        pages = [each for each in services if prepared.services[each.name]]
        note = "health; also /metrics"
        addresses = [
            *(Address(each.name, each.url) for each in pages),
            *(Address(each.name, each.url, titles[each.name]) for each in sandboxes),
            *(Address(s.name, f"{s.url}/readyz", note) for s in services if s not in pages),
            Address("broker", self._broker.url),
        ]
        self._screen.welcome(
            f"{prepared.name} is up, ready after {monotonic() - self._began:.1f} s",
            addresses,
            self._broker.url,
            examples(self._project.root, prepared.external_events),
        )

    # the end

    def _on_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        if not self._ended.is_set():
            self._screen.say("stopping; press Ctrl-C again to stop at once")
            self._ended.set()
            return
        for child in (*self._services, *self._sandboxes):
            child.kill()
        self._broker.stop(timeout=1.0)  # it writes out what it acknowledged
        upfile.forget(self._project.state)
        self._screen.console.show_cursor()
        os._exit(130)

    async def _unless_ended(self, task: asyncio.Task[_T]) -> _T | None:
        """What the task returns, None when the end came first."""
        ending = asyncio.create_task(self._ended.wait())
        await asyncio.wait({task, ending}, return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if task.done():
            return task.result()
        task.cancel()
        return None

    async def _stop(self, preparing: asyncio.Task[Prepared]) -> None:
        """Services first, then what they use, the broker last: nothing in flight is lost."""
        preparing.cancel()
        with contextlib.suppress(asyncio.CancelledError, JetmeshError):
            await preparing
        await self._end(self._services)
        await self._end(self._sandboxes)
        self._broker.stop()
        if self._running:
            self._screen.say("stopped")

    async def _end(self, children: Sequence[Child]) -> None:
        tasks = [self._running[child] for child in children if child in self._running]
        for child in children:
            child.terminate()
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=self._grace + _AFTER_GRACE)
        for child in children:
            if self._running.get(child) in late:
                self._screen.say(f"{child.program.name} did not end in time; killing it")
                child.kill()
        if late:
            await asyncio.wait(late)

    # up.json

    def _child(self, program: Program) -> Child:
        return Child(program, self._project.root, on_line=self._screen.line, on_change=self._note)

    def _note(self) -> None:
        try:
            self._write_up()
        except OSError as error:
            self._screen.say(f"other terminals do not find this mesh: {error.strerror}")

    def _write_up(self) -> None:
        address = BrokerAddress(self._broker.pid, self._broker.port)
        upfile.write(
            self._project.state,
            Up(
                nats_url=self._broker.url,
                pid=os.getpid(),
                broker=address,
                services={c.program.name: Running(c.pid, c.program.url) for c in self._services},
                sandboxes={c.program.name: Running(c.pid, c.program.url) for c in self._sandboxes},
                ready=self._ready,
            ),
        )

    def _broker_port(self) -> int:
        port = self._options.port
        if port and not is_free(port):
            raise UsageError(
                f"The port {port} is taken.", remedy="Choose another with --port, or leave it out."
            )
        return port or self._ports.take(_BROKER_PORT)


def _last_words(problem: bytes) -> str:
    """What a process that failed said last: its sentences, or the end of a traceback."""
    text = problem.decode(errors="replace").strip()
    lines = text.splitlines() or ["The system cannot be prepared."]
    return lines[-1] if "Traceback (most recent call last)" in text else "\n".join(lines)
