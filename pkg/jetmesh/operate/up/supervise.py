"""`jetmesh up`: the broker, the sandboxes and every service: started, watched, ended together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Final, TypeVar

import msgspec

from jetmesh.errors import JetmeshError
from jetmesh.operate.identities import ACCOUNT
from jetmesh.operate.project import Project
from jetmesh.operate.up import upfile
from jetmesh.operate.up.access import Access
from jetmesh.operate.up.broker import Broker, check_version, find_server
from jetmesh.operate.up.certificates import authority_of
from jetmesh.operate.up.changes import Changes
from jetmesh.operate.up.child import Child, Program
from jetmesh.operate.up.configuration import file_of
from jetmesh.operate.up.forked import ForkServer
from jetmesh.operate.up.ports import Ports
from jetmesh.operate.up.prepare import Prepared
from jetmesh.operate.up.preparing import preparing
from jetmesh.operate.up.programs import Chosen, programs
from jetmesh.operate.up.refused import Refused
from jetmesh.operate.up.reload import Reload
from jetmesh.operate.up.screen import Address, Screen, examples
from jetmesh.operate.up.settings_file import BROKER_PORT, local_port, settings_file
from jetmesh.operate.up.spawned import leash_prefix
from jetmesh.operate.up.store import move_streams
from jetmesh.operate.up.subjects import Subjects
from jetmesh.operate.up.upfile import Running, Up

_T = TypeVar("_T")
_WATCH_SECONDS: Final = 0.25
_BROKER_PAUSE: Final = 1.0
_SLOW_SECONDS: Final = 5.0
"""Who is not ready after so long is named, with the reason; and again with another reason."""
_AFTER_GRACE: Final = 2.0


@dataclass(frozen=True, slots=True)
class Options:
    """How the mesh is to run."""

    port: int = 0
    """The broker's port; 0 is 4222 or the next free one."""
    store: Path | None = None
    chosen: Chosen = field(default_factory=Chosen)
    reload: bool = False
    """Restart what imports a file that changed."""
    everybody: bool = False
    """Whoever connects to the broker may do everything."""
    tls: bool = False


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
        self._pages: asyncio.Task[None] | None = None
        self._services: list[Child] = []
        self._sandboxes: list[Child] = []
        self._running: dict[Child, asyncio.Task[None]] = {}
        self._variables: dict[str, str] = {}
        self._ready = False
        self._grace = 0.0
        self._broker = Broker(
            options.store or project.state / "nats",
            port=self._broker_port(),
            config=file_of(project.state),
            prefix=leash_prefix(),
        )
        self._access = Access(
            self._broker.url.replace("nats://", "tls://" if options.tls else "nats://"),
            everybody=options.everybody,
            ca=str(authority_of(project.state)) if options.tls else "",
        )
        self._subjects = Subjects(self._access.operator(project.state), screen.say)
        self._refused = Refused(self._broker.log, screen.say)
        self._warm = ForkServer(project.root, self._environ(), screen.say)

    async def run(self) -> int:
        """Start, wait for the end, stop; 0 unless a second signal cut the end short."""
        check_version(find_server())
        self._on_signals()
        preparing = asyncio.create_task(self._prepare())
        await self._warm.begin()  # it imports while the rest is prepared
        try:
            prepared = await self._unless_ended(preparing)
            if prepared is not None:
                await self._serve(prepared)
        finally:
            await self._stop(preparing)
        return 0

    async def _serve(self, prepared: Prepared) -> None:
        self._grace = prepared.grace
        environ, chosen = self._environ(), self._options.chosen
        found = programs(self._project, prepared, chosen, self._ports, environ, self._access)
        for sentence in self._ports.passed_over:
            self._screen.say(sentence)
        self._variables = {**found.variables, **self._access.common()}
        self._sandboxes = [self._child(program) for program in found.sandboxes]
        self._services = [self._child(program) for program in found.services]
        tasks = [asyncio.create_task(self._watch_broker())]
        everyone = [*self._sandboxes, *self._services]
        self._screen.expect([child.program.name for child in everyone])
        for child in everyone:
            self._running[child] = asyncio.create_task(child.run())
        self._know(prepared)
        tasks.append(asyncio.create_task(self._subjects.run()))
        tasks.append(asyncio.create_task(self._refused.run()))
        if self._options.reload:
            tasks.append(asyncio.create_task(self._reload().run()))
        with self._screen.starting(everyone):
            await self._unless_ended(asyncio.create_task(self._all_ready(everyone)))
            if self._pages is not None:
                await self._unless_ended(self._pages)  # there is an address for them
        if not self._ended.is_set():
            self._ready = True
            self._note()
            self._welcome(prepared)
            await self._ended.wait()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    async def _prepare(self) -> Prepared:
        """Load the system, configure the broker and make it as declared.

        Raises:
            JetmeshError: the system contradicts itself, or the broker cannot be as it declares.
        """
        preparation = await preparing(
            self._project, self._access, self._environ(), self._take_configuration
        )
        if self._pages is not None:
            self._pages.cancel()
        self._pages = asyncio.create_task(self._know_of(preparation.pages))
        return preparation.prepared

    async def _know_of(self, pages: asyncio.Task[str]) -> None:
        if why := await pages:
            self._screen.say(f"the contracts' pages are not new: {why}")

    def _take_configuration(self) -> None:
        if not self._broker.pid:
            if move_streams(self._broker.store):
                self._screen.say(f"the streams of an older version are in account {ACCOUNT} now")
            self._broker.start()
            self._note()
        else:
            self._broker.reload()

    def _environ(self) -> dict[str, str]:
        environ = {**os.environ, **self._access.common(), "PYTHONUNBUFFERED": "1"}
        if environ.get("JETMESH_SETTINGS"):  # they run in the root of the project, we may not
            environ["JETMESH_SETTINGS"] = str(Path(environ["JETMESH_SETTINGS"]).resolve())
        if self._screen.in_terminal:
            environ.setdefault("JETMESH__LOG__FORMAT", "console")
            environ["FORCE_COLOR"] = "1"
        return environ

    def _reload(self) -> Reload:
        module = self._project.reference.partition(":")[0]
        return Reload(
            Changes(self._project.root, module, settings=settings_file(self._project)),
            children=lambda: [*self._services, *self._sandboxes],
            renew=self._renew,
            say=self._screen.say,
            grace=self._grace + _AFTER_GRACE,
        )

    async def _renew(self) -> None:
        """Read the system again, and start the services that it lists now and did not before.

        Raises:
            JetmeshError: it contradicts itself, or no port is free.
        """
        prepared = await self._prepare()
        self._know(prepared)
        for child in [c for c in self._services if not _is_listed(c.program, prepared)]:
            self._screen.say(f"{child.program.name} is not listed any more: ending it")
            self._services.remove(child)
            child.terminate()
        running = {part.service for child in self._services for part in child.program.parts}
        new = tuple(name for name in prepared.services if name not in running)
        if not new or self._options.chosen.only:
            return
        chosen = Chosen(sandboxes=False, pages=False, only=new)
        environ = {**self._variables, **self._environ()}
        others = msgspec.structs.replace(prepared, port_is_set=False)  # the first one has it
        found = programs(self._project, others, chosen, self._ports, environ, self._access)
        for program in found.services:
            self._screen.say(f"{program.name} is new: {program.url}")
            child = self._child(program)
            self._services.append(child)
            self._running[child] = asyncio.create_task(child.run())
        self._screen.expect([c.program.name for c in (*self._sandboxes, *self._services)])

    # watching

    def _know(self, prepared: Prepared) -> None:
        self._subjects.declared = prepared.declared
        self._refused.known = prepared

    async def _all_ready(self, everyone: Sequence[Child]) -> None:
        began = monotonic()
        named: dict[Child, str] = {}
        while any(child.problem for child in everyone):
            await asyncio.sleep(_WATCH_SECONDS / 5)
            if monotonic() - began < _SLOW_SECONDS:
                continue
            for child in everyone:
                known = named.get(child, "")
                if child.problem != known and not child.explained:
                    named[child] = child.problem
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
        sandboxes = [child.program for child in self._sandboxes]
        services = [part for child in self._services for part in child.program.parts]
        pages = [each for each in services if prepared.services[each.service].pages]
        note = "health; also /metrics"
        addresses = [
            *(Address(each.name, each.url + each.link) for each in pages),
            *(Address(each.name, each.url, each.title) for each in sandboxes),
            *(Address(s.name, f"{s.url}/readyz", note) for s in services if s not in pages),
            Address("broker", self._access.url),
        ]
        self._screen.welcome(
            f"{prepared.name} is up, ready after {monotonic() - self._began:.1f} s",
            addresses,
            self._access,
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
        for each in filter(None, (preparing, self._pages)):
            each.cancel()
            with contextlib.suppress(asyncio.CancelledError, JetmeshError):
                await each
        await self._end([child for child in self._running if child not in self._sandboxes])
        await self._end(self._sandboxes)
        await self._warm.end()
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
        return Child(
            program,
            self._project.root,
            on_line=self._screen.line,
            on_change=self._note,
            spawn=self._warm.spawn,
        )

    def _note(self) -> None:
        try:
            self._write_up()
        except OSError as error:
            self._screen.say(f"other terminals do not find this mesh: {error.strerror}")

    def _write_up(self) -> None:
        upfile.write(
            self._project.state,
            Up(
                nats_url=self._access.url,
                everybody=self._access.everybody,
                ca=self._access.ca,
                pid=os.getpid(),
                broker=Running.now(self._broker.pid, self._access.url),
                services={
                    part.name: Running.now(c.pid, part.url, part.health or part.url)
                    for c in self._services
                    for part in c.program.parts
                },
                variables=self._variables,
                sandboxes={
                    c.program.name: Running.now(c.pid, c.program.url) for c in self._sandboxes
                },
                ready=self._ready,
            ),
        )

    def _broker_port(self) -> int:
        """The port that is asked for, by the option or by an address in the settings file.

        Raises:
            UsageError: somebody has it.
        """
        if self._options.port:
            return self._ports.take_fixed(self._options.port, "the broker", "--port")
        port = local_port(self._project)
        if port:
            return self._ports.take_fixed(port, "the broker", "nats.url in the settings file")
        return self._ports.take(BROKER_PORT, "the broker")


def _is_listed(program: Program, prepared: Prepared) -> bool:
    return any(part.service in prepared.services for part in program.parts)
