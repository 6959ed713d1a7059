"""The shop as processes: started, probed, restarted when they die, replaced while they work."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from jetmesh.operate.up.ports import free_port
from tests.cluster.chaos.asking import ask
from tests.cluster.chaos.processes import Process

_ROOT: Final = Path(__file__).parents[3]
_HOST: Final = "127.0.0.1"
_READY_SECONDS: Final = 60.0
_END_SECONDS: Final = 30.0
_PAUSE_SECONDS: Final = 0.3
"""Between a death and the next start."""
_LOOK_SECONDS: Final = 0.1


class Replica:
    """One process of a deployable, on a port of its own."""

    def __init__(self, process: Process, port: int) -> None:
        self.process = process
        self.port = port

    async def problem(self, path: str) -> str:
        """Why it is not ready, in its words; empty when it is."""
        status, body = await ask(_HOST, self.port, path)
        return "" if status == 200 else body or f"status {status}"


class Deployable:
    """A service or a sandbox: its replicas, one more while they are replaced, none when down."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        folder: Path,
        environ: dict[str, str],
        port_variable: str,
        probe: str,
        fixed_port: int = 0,
        count: int = 1,
    ) -> None:
        self.name = name
        self.count = count
        self.replicas: list[Replica] = []
        self.deaths = 0
        """How often a replica ended that should not."""
        self._command = list(command)
        self._folder = folder
        self._environ = environ
        self._port_variable = port_variable
        self._probe = probe
        self._fixed_port = fixed_port
        self._is_wanted = False

    def start(self) -> Replica:
        """One replica more."""
        self._is_wanted = True
        port = self._fixed_port or free_port()
        process = Process(
            self._command,
            log=self._folder / f"{self.name}.log",
            cwd=_ROOT,
            environ={**self._environ, self._port_variable: str(port)},
        )
        process.start()
        replica = Replica(process, port)
        self.replicas.append(replica)
        return replica

    def down(self) -> None:
        """Kill it and let it be."""
        self._is_wanted = False
        for replica in self.replicas:
            replica.process.kill()
        self.replicas.clear()

    def kill(self) -> None:
        """SIGKILL to one that runs; whoever supervises starts it again."""
        running = (replica for replica in self.replicas if replica.process.runs)
        if replica := next(running, None):
            replica.process.kill()

    async def replace(self) -> None:
        """For each: start the new one, wait until it is ready, SIGTERM the old one.

        Raises:
            AssertionError: the new one does not become ready, or the old one does not end with 0.
        """
        for replica in list(self.replicas):
            await self.ready(self.start())
            self.replicas.remove(replica)
            await self._end(replica)

    async def ready(self, replica: Replica) -> None:
        """Return once it is ready.

        Raises:
            AssertionError: it is not, after a minute; with its reason.
        """
        deadline = time.monotonic() + _READY_SECONDS
        while problem := await replica.problem(self._probe):
            assert time.monotonic() < deadline, (
                f"{self.name} is not ready: {problem}\n{replica.process.tail()}"
            )
            await asyncio.sleep(_LOOK_SECONDS)

    async def problem(self) -> str:
        """Why no replica is ready; empty when one is."""
        if not self.replicas:
            return "down"
        problems = [await replica.problem(self._probe) for replica in list(self.replicas)]
        return "" if "" in problems else "; ".join(problems)

    async def revive(self) -> None:
        """Start again what died."""
        dead = [replica for replica in self.replicas if not replica.process.runs]
        if dead and self._is_wanted:
            self.deaths += len(dead)
            await asyncio.sleep(_PAUSE_SECONDS)
        for replica in dead:
            if replica in self.replicas:  # it may have been taken down meanwhile
                self.replicas.remove(replica)
                self.start()

    async def _end(self, replica: Replica) -> None:
        replica.process.signal(signal.SIGTERM)
        deadline = time.monotonic() + _END_SECONDS
        while (code := replica.process.code) is None:
            assert time.monotonic() < deadline, (
                f"{self.name} does not end\n{replica.process.tail()}"
            )
            await asyncio.sleep(_LOOK_SECONDS)
        assert code == 0, f"{self.name} ended with {code} after SIGTERM\n{replica.process.tail()}"


class Shop:
    """Every deployable of the run."""

    def __init__(self, folder: Path, settings: Path, services: Sequence[str]) -> None:
        self.gateway_port, self.smtp_port = free_port(), free_port()
        self.mail_port = free_port()
        self._folder = folder
        self._environ = _environ(settings)
        self.gateway = self._sandbox("sandbox-gateway", self.gateway_port, {})
        smtp = {"JETMESH_SANDBOX_SMTP_PORT": str(self.smtp_port)}
        self.mail = self._sandbox("sandbox-mail", self.mail_port, smtp)
        self.services = [self._service(name) for name in services]
        self._reviving: asyncio.Task[None] | None = None

    @property
    def mails(self) -> Path:
        """The journal of the mail sandbox: what it answered with 250 is in it."""
        return self._folder / "sandbox-mail" / "mails.jsonl"

    @property
    def charges(self) -> Path:
        """The journal of the gateway's sandbox: what it answered is in it."""
        return self._folder / "sandbox-gateway" / "charges.jsonl"

    @property
    def deaths(self) -> Counter[str]:
        return Counter({each.name: each.deaths for each in self.services})

    def service(self, name: str) -> Deployable:
        return next(each for each in self.services if each.name == name)

    async def start(self) -> None:
        """Start everything and return once it is ready.

        Raises:
            AssertionError: something is not ready within a minute.
        """
        everyone = [self.gateway, self.mail, *self.services]
        started = [(each, each.start()) for each in everyone for _ in range(each.count)]
        for each, replica in started:
            await each.ready(replica)
        self._reviving = asyncio.create_task(self._revive())

    async def ready(self) -> None:
        """Return once every service is ready again.

        Raises:
            AssertionError: one is not within a minute.
        """
        deadline = time.monotonic() + _READY_SECONDS
        while problems := [f"{s.name}: {p}" for s in self.services if (p := await s.problem())]:
            assert time.monotonic() < deadline, f"not ready: {'; '.join(problems)}"
            await asyncio.sleep(_LOOK_SECONDS)

    def stop(self) -> None:
        """End every process at once."""
        if self._reviving is not None:
            self._reviving.cancel()
        for each in (*self.services, self.gateway, self.mail):
            each.down()

    async def stop_gently(self) -> None:
        """SIGTERM to every service, each must end with 0; then everything else.

        Raises:
            AssertionError: one does not.
        """
        if self._reviving is not None:
            self._reviving.cancel()
        for each in self.services:
            for replica in list(each.replicas):
                each.replicas.remove(replica)
                await each._end(replica)
        self.stop()

    async def _revive(self) -> None:
        while True:
            for each in (*self.services, self.gateway, self.mail):
                await each.revive()
            await asyncio.sleep(_LOOK_SECONDS)

    def _service(self, name: str) -> Deployable:
        main = _ROOT / "cmd" / name / "main.py"
        pages = name.endswith(("dashboard", "storefront"))
        command = [str(main)] if main.exists() else ["-m", f"tests.cluster.chaos.{name}"]
        return Deployable(
            name,
            [sys.executable, *command],
            folder=self._folder,
            # pages have a port of their own; garbage is published on purpose, and boards skip it
            environ=self._environ | {"JETMESH__HTTP__PORT": "0", "JETMESH__MAY_SKIP": "-1"},
            port_variable="JETMESH__HTTP__HEALTH_PORT" if pages else "JETMESH__HTTP__PORT",
            probe="/readyz",
            count=2 if name == "tracking" else 1,  # order is to be kept across replicas
        )

    def _sandbox(self, name: str, port: int, environ: dict[str, str]) -> Deployable:
        own = {"JETMESH_SANDBOX_DIR": str(self._folder / name), **environ}
        return Deployable(
            name,
            [sys.executable, str(_ROOT / "cmd" / name / "main.py")],
            folder=self._folder,
            environ={**self._environ, **own},
            port_variable="JETMESH_SANDBOX_HTTP_PORT",
            probe="/healthz",
            fixed_port=port,
        )


def _environ(settings: Path) -> dict[str, str]:
    """Nothing of the caller's own mesh, only the settings of this run."""
    mine = ("JETMESH", "NATS_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(mine)}
    return {**inherited, "JETMESH_SETTINGS": str(settings), "PYTHONUNBUFFERED": "1"}
