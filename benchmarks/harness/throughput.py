"""One measurement of one peer: warm it up, hold it, fill the stream, let it go, look at the end."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jetmesh import Service
from jetmesh.operate.broker import Broker

from harness.child import Child
from harness.contenders import HERE, Peer
from harness.filler import Filler
from harness.purchases import purchases
from harness.server import INPUT, OUTPUT, Server
from peers.jetmesh_app import SERVICES

WARM_UP: Final = 2000
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
    redelivered: int

    @property
    def rate(self) -> float:
        return self.messages / self.seconds


@dataclass(frozen=True, slots=True)
class Bench:
    """Where the measurements happen."""

    broker: Broker
    server: Server

    def fill(self, prefix: str, amount: int) -> None:
        """Store `amount` purchases."""
        with Filler(self.broker.host, self.broker.port) as filler:
            filler.fill(purchases(prefix, amount))

    def start(self, command: tuple[str, ...], workload: str, log: Path) -> Child:
        """Start a peer; its variables are the ones that a service of jetmesh reads, and two more."""
        environ = {
            "NATS_URL": self.broker.url,
            "WORKLOAD": workload,
            "NATS_DURABLE": durable_of(SERVICES[workload]),
            "JETMESH__HTTP__PORT": "0",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")])),
        }
        return Child((*command, workload), log=log, environ=environ, cwd=HERE)


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
    renew: bool = True,
    moved: Callable[[int], None] = lambda _: None,
) -> Sample:
    """Measure `peer` on `messages` purchases.

    Raises:
        ChildFailedError: the peer died.
        StalledError: it stopped working.
        UnequalWorkError: it did something else than the work.
    """
    service = SERVICES[workload]
    durable = durable_of(service)
    if renew:
        await bench.server.renew(service)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "peer.log"
        with bench.start(peer.command, workload, log) as child:
            wait = {"seconds": _STALL_SECONDS, "check": child.check}
            bench.fill("warm", WARM_UP)
            await bench.server.settled(durable, WARM_UP, **wait)  # type: ignore[arg-type] # reason: two keywords of two types
            await bench.server.pause(durable)
            bench.fill(f"p{number}", messages - 1)
            before = child.cpu_seconds()
            await bench.server.resume(durable)
            begun = time.time()
            bench.fill("last", 1)
            ended = await bench.server.settled(
                durable,
                WARM_UP + messages,
                seconds=_STALL_SECONDS,
                check=child.check,
                moved=lambda acked: moved(max(0, acked - WARM_UP)),
            )
            cpu = child.cpu_seconds() - before
    redelivered = await _check_work(bench.server, workload, WARM_UP + messages)
    return Sample(
        peer=peer.name,
        workload=workload,
        round=number,
        messages=messages,
        seconds=ended - begun,
        cpu_us=cpu / messages * 1e6,
        redelivered=redelivered,
    )


async def _check_work(server: Server, workload: str, inputs: int) -> int:
    """Refuse a result whose work is not done; returns how many were delivered more than once."""
    info = await server.durable(durable_of(SERVICES[workload]))
    if await server.stored(INPUT) != inputs:
        raise UnequalWorkError(f"the input stream holds {await server.stored(INPUT)} of {inputs}")
    if workload == "process":
        await _check_outcomes(server, inputs)
    return int(info["delivered"]["consumer_seq"]) - inputs


async def _check_outcomes(server: Server, inputs: int) -> None:
    stored = await server.stored(OUTPUT)
    if stored != inputs:
        raise UnequalWorkError(f"{stored} outcomes of {inputs} purchases are stored")
    last = await server.control.message(OUTPUT, stored)
    if last is None or not last.headers.get("Nats-Msg-Id"):
        raise UnequalWorkError("an outcome carries no message id")
    key = last.subject.rpartition(".")[2]
    if last.headers.get(GUARD) != f"orders.*.{key}":
        raise UnequalWorkError(f"an outcome carries no guard: {last.headers}")
    order: dict[str, Any] = json.loads(last.payload)
    rejected = last.subject.startswith("orders.rejected.")
    if order["purchase_id"] != key or rejected != ("reasons" in order):
        raise UnequalWorkError(f"an outcome is not what was decided: {order}")
