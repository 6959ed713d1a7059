"""Three real nats-servers that are one JetStream cluster, and what can be done to each."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from pathlib import Path
from typing import Final, NamedTuple

from jetmesh.operate.up.broker import find_server
from jetmesh.operate.up.ports import free_port
from jetmesh.testing import eventually
from tests.cluster.chaos import disks
from tests.cluster.chaos.asking import ask
from tests.cluster.chaos.disks import Disk
from tests.cluster.chaos.network import Network, why_no_network
from tests.cluster.chaos.processes import Process

COUNT: Final = 3
_LOOPBACK: Final = "127.0.0.1"
_DISK_MIB: Final = 1024
_HEALTHY_SECONDS: Final = 60.0
_END_SECONDS: Final = 60.0

_CONFIG: Final = """
server_name: {name}
listen: "{host}:{client}"
http: "{host}:{monitor}"
pid_file: "{folder}/pid"
jetstream {{ store_dir: "{store}", max_file_store: {disk}M, max_memory_store: 256M }}
cluster {{ name: "chaos", listen: "{host}:{cluster}", routes: [{routes}] }}
# the shortest that the server allows; with few clients it is over much sooner
lame_duck_grace_period: "1s"
lame_duck_duration: "30s"
"""


class Address(NamedTuple):
    """Where a server listens: for clients, for who monitors it, for the other servers."""

    host: str
    client: int = 4222
    monitor: int = 8222
    cluster: int = 6222


class Node:
    """One server: its process, its disk, its cable."""

    def __init__(
        self, number: int, address: Address, folder: Path, network: Network | None
    ) -> None:
        self.name = f"n{number}"
        self.host, self.client, self.monitor, self.cluster = address
        self.folder = folder / self.name
        self.store = self.folder / "store"
        self.disk = Disk(self.store, _DISK_MIB) if network else None
        self._number = number
        self._network = network
        entering = network.entering(number) if network else []
        self.process = Process(
            [*entering, find_server(), "-c", str(self.folder / "nats.conf")],
            log=self.folder / "nats-server.log",
            cwd=folder,
            # three servers and a shop on one machine: Go's threads would fight for few cores
            environ={**os.environ, "GOMAXPROCS": str(max(1, (os.cpu_count() or 1) // 2))},
        )

    @property
    def url(self) -> str:
        return f"nats://{self.host}:{self.client}"

    def make(self, routes: str) -> None:
        """Its folder, disk and configuration."""
        self.store.mkdir(parents=True)
        if self.disk is not None:
            self.disk.make()
        (self.folder / "nats.conf").write_text(
            _CONFIG.format(
                name=self.name,
                host=self.host,
                client=self.client,
                monitor=self.monitor,
                cluster=self.cluster,
                folder=self.folder,
                store=self.store,
                disk=_DISK_MIB,
                routes=routes,
            )
        )

    def start(self) -> None:
        self.process.start()

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()

    def freeze(self) -> None:
        """SIGSTOP: its connections stay open and say nothing."""
        self.process.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.signal(signal.SIGCONT)

    def isolate(self) -> None:
        """Pull its cable: neither nodes nor clients reach it."""
        assert self._network is not None
        self._network.cut(self._number)

    def join(self) -> None:
        assert self._network is not None
        self._network.join(self._number)

    async def end(self, number: signal.Signals) -> None:
        """Ask it to end, and wait: SIGTERM, or SIGUSR2 for lame duck mode.

        Raises:
            AssertionError: it does not.
        """
        self.process.signal(number)
        end = f"the end of {self.name}"
        await eventually(lambda: not self.process.runs, within=_END_SECONDS, what=end)

    async def problem(self) -> str:
        """Why it is not healthy, in its words; empty when it has caught up with everything."""
        status, body = await ask(self.host, self.monitor, "/healthz")
        return "" if status == 200 else body or f"status {status}"


class Cluster:
    """All of them; `make` starts, `remove` ends whatever state they are in."""

    def __init__(self, folder: Path) -> None:
        self.why_no_network = why_no_network()
        """Why cables cannot be pulled and disks not be filled here; empty when they can."""
        self._network = None if self.why_no_network else Network(COUNT)
        self._folder = folder
        self.nodes: list[Node] = []

    @property
    def url(self) -> str:
        return ",".join(node.url for node in self.nodes)

    def make(self) -> None:
        """Start them.

        Raises:
            RuntimeError: the kernel refuses a namespace or a mount.
        """
        if self._network is not None:
            disks.remove_left_overs()
            self._network.make()
        for number, address in enumerate(self._addresses(), 1):
            self.nodes.append(Node(number, address, self._folder, self._network))
        routes = ", ".join(f'"nats://{node.host}:{node.cluster}"' for node in self.nodes)
        for node in self.nodes:
            node.make(routes)
            node.start()

    def remove(self) -> None:
        """End every server, whatever became of it, and take disks and network away."""
        for node in self.nodes:
            node.kill()
            if node.disk is not None:
                node.disk.remove()
        if self._network is not None:
            self._network.remove()

    def node(self, name: str) -> Node:
        return next(node for node in self.nodes if node.name == name)

    def _addresses(self) -> list[Address]:
        if self._network is not None:
            return [Address(self._network.address(number)) for number in range(1, COUNT + 1)]
        ports = [free_port() for _ in range(3 * COUNT)]
        return [Address(_LOOPBACK, *ports[n : n + 3]) for n in range(0, len(ports), 3)]

    async def healthy(self) -> None:
        """Return once every server has caught up with the others.

        Raises:
            AssertionError: one does not within a minute.
        """
        deadline = time.monotonic() + _HEALTHY_SECONDS
        while problems := [f"{n.name}: {p}" for n in self.nodes if (p := await n.problem())]:
            assert time.monotonic() < deadline, f"the cluster does not heal: {'; '.join(problems)}"
            await asyncio.sleep(0.2)

    async def leader_of(self, stream: str) -> Node:
        """The server that leads a stream now, as the servers themselves tell.

        Raises:
            AssertionError: none does for a while.
        """
        deadline = time.monotonic() + _HEALTHY_SECONDS
        while time.monotonic() < deadline:
            for node in self.nodes:
                if await _led_by(node, stream) == node.name:
                    return node
            await asyncio.sleep(0.2)
        raise AssertionError(f"{stream} has no leader")


async def _led_by(node: Node, stream: str) -> str:
    status, body = await ask(node.host, node.monitor, "/jsz?streams=true")
    if status != 200:
        return ""
    for account in json.loads(body).get("account_details", []):
        for found in account.get("stream_detail", []):
            if found["name"] == stream:
                return str(found.get("cluster", {}).get("leader", ""))
    return ""
