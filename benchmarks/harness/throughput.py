"""One measurement of one peer: warm it up, hold it, fill the stream, let it go, look at the end."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from harness.child import Child, cpu_seconds
from harness.contenders import HERE, Peer
from harness.encryption import AUTHORITY
from harness.filler import Filler
from harness.purchases import purchases
from harness.server import INPUT, OUTPUT, Server
from jetmesh import Service
from jetmesh.operate.up.broker import Broker
from peers.jetmesh_app import SERVICES

WARM_UP: Final = 2000
_DECIDES: Final = ("process", "effect")
_STALL_SECONDS: Final = 30.0
GUARD: Final = "Nats-Expected-Last-Subject-Sequence-Subject"


class UnequalWorkError(Exception):
    """A peer did not do the work that it was measured for."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one peer did in one round."""

    peer: str
    workload: str
    round: int
    messages: int
    seconds: float
    cpu_us: float
    """User and system time of the peer's process per message."""
    server_us: float
    """The same of the server."""
    redelivered: int

    @property
    def rate(self) -> float:
        return self.messages / self.seconds


@dataclass(frozen=True, slots=True)
class Bench:
    """Where the measurements happen."""

    broker: Broker
    server: Server
    certificates: Path
    """Where the authority's certificate is."""
    environ: Mapping[str, str] = field(default_factory=dict)
    """More variables of a peer."""

    def fill(self, prefix: str, amount: int) -> None:
        """Store `amount` purchases."""
        with Filler(self.broker.host, self.broker.port) as filler:
            filler.fill(purchases(prefix, amount))

    def start(self, peer: Peer, workload: str, log: Path) -> Child:
        """Start a peer; its variables are those that a service of jetmesh reads, and two more."""
        environ = {
            "NATS_URL": self.broker.url,
            **(self._encrypted() if peer.encrypted else {}),
            **self.environ,
            "WORKLOAD": workload,
            "NATS_DURABLE": durable_of(SERVICES[workload]),
            "JETMESH__HTTP__PORT": "0",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")])),
        }
        return Child((*peer.command, workload), log=log, environ=environ, cwd=HERE)

    def _encrypted(self) -> dict[str, str]:
        return {
            "NATS_URL": f"tls://{self.broker.host}:{self.broker.port}",
            "JETMESH__NATS__TLS_CA_FILE": str(self.certificates / AUTHORITY),
        }


def durable_of(service: Service) -> str:
    """The one durable of a measured service."""
    (handler,) = service.handlers
    return handler.durable


async def measure(
    bench: Bench,
    peer: Peer,
    workload: str,
    *,
    number: int,
    messages: int,
    keep: bool = False,
    moved: Callable[[int], None] = lambda _: None,
) -> Sample:
    """Measure `peer` on `messages` purchases, in fresh streams unless `keep` says otherwise.

    Raises:
        ChildFailedError: the peer died.
        StalledError: it stopped working.
        UnequalWorkError: it did something else than the work.
    """
    if not keep:
        await bench.server.renew(SERVICES[workload])
    before = await _stored(bench.server)
    with tempfile.TemporaryDirectory() as folder:
        child = bench.start(peer, workload, Path(folder) / "peer.log")
        with child:
            seconds, cpu, server_cpu = await _let_go(
                bench, child, durable_of(SERVICES[workload]), f"{number}", messages, moved
            )
    redelivered = await _check_work(bench.server, workload, before, WARM_UP + messages)
    return Sample(
        peer=peer.name,
        workload=workload,
        round=number,
        messages=messages,
        seconds=seconds,
        cpu_us=cpu / messages * 1e6,
        server_us=server_cpu / messages * 1e6,
        redelivered=redelivered,
    )


async def _let_go(
    bench: Bench,
    child: Child,
    durable: str,
    label: str,
    messages: int,
    moved: Callable[[int], None],
) -> tuple[float, float, float]:
    """Seconds, and CPU seconds of peer and server, for `messages`, once it is warm."""
    server = bench.server
    warm = await server.stored(INPUT) + WARM_UP
    bench.fill(f"warm-{label}", WARM_UP)
    await server.settled(durable, warm, seconds=_STALL_SECONDS, check=child.check)
    await server.pause(durable)
    bench.fill(f"p-{label}", messages - 1)
    await server.resume(durable)
    used, of_server = child.cpu_seconds(), cpu_seconds(bench.broker.pid)
    begun = time.time()
    bench.fill(f"last-{label}", 1)
    ended = await server.settled(
        durable,
        warm + messages,
        seconds=_STALL_SECONDS,
        check=child.check,
        moved=lambda acked: moved(max(0, acked - warm)),
    )
    return ended - begun, child.cpu_seconds() - used, cpu_seconds(bench.broker.pid) - of_server


async def _stored(server: Server) -> tuple[int, int]:
    return await server.stored(INPUT), await server.stored(OUTPUT)


async def _check_work(server: Server, workload: str, before: tuple[int, int], inputs: int) -> int:
    """Refuse a result whose work is not done; returns how many were delivered more than once."""
    stored, outcomes = await _stored(server)
    if stored - before[0] != inputs:
        raise UnequalWorkError(f"the input stream holds {stored - before[0]} of {inputs}")
    if outcomes - before[1] != (inputs if workload in _DECIDES else 0):
        raise UnequalWorkError(f"{outcomes - before[1]} outcomes of {inputs} purchases are stored")
    if workload in _DECIDES:
        await _check_outcome(server)
    info = await server.durable(durable_of(SERVICES[workload]))
    return int(info["delivered"]["consumer_seq"]) - stored


async def _check_outcome(server: Server) -> None:
    """Look at the last outcome: its message id, its guard and what was decided."""
    info = await server.control.api(f"STREAM.INFO.{OUTPUT}")
    last = await server.control.message(OUTPUT, int(info["state"]["last_seq"]))
    if last is None or not last.headers.get("Nats-Msg-Id"):
        raise UnequalWorkError("an outcome carries no message id")
    key = last.subject.rpartition(".")[2]
    if last.headers.get(GUARD) != f"orders.*.{key}":
        raise UnequalWorkError(f"an outcome carries no guard: {last.headers}")
    order: dict[str, Any] = json.loads(last.payload)
    rejected = last.subject.startswith("orders.rejected.")
    if order["purchase_id"] != key or rejected != ("reasons" in order):
        raise UnequalWorkError(f"an outcome is not what was decided: {order}")
