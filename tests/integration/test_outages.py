"""Servers that end, die, stop, and go away: nothing is lost, nothing is doubled, work resumes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from time import monotonic

import pytest

from jetmesh.errors import BrokerError
from jetmesh.operate.up.broker import Broker
from jetmesh.operate.up.ports import free_port
from jetmesh.settings import NatsSettings
from jetmesh.testing import eventually
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.dataplane import DataPlane
from tests.integration.network import Proxy
from tests.integration.planes import (
    Copier,
    Scene,
    both,
    make_durable,
    make_stream,
    settings_of,
)

COUNT = 3000
GONE_SECONDS = float(os.environ.get("JETMESH_GONE_SECONDS", "4"))
SOON_SECONDS = 5
"""Between two attempts to connect is a second at most; the rest is for a busy machine."""


@asynccontextmanager
async def copying(
    broker: Broker, name: str, *, count: int = COUNT
) -> AsyncIterator[tuple[Scene, Copier]]:
    """In the middle of copying `count` messages."""
    async with both(settings_of(broker)) as (plane, control):
        scene = Scene(name, plane, control)
        copier = await scene.make()
        await scene.fill(count)
        yield scene, copier


@pytest.mark.parametrize("end", [Broker.stop, Broker.kill], ids=["stopped", "killed"])
async def test_a_broker_restarted_in_the_middle_loses_and_doubles_nothing(
    own_broker: Broker, unique: str, end: Callable[[Broker], None]
) -> None:
    async with copying(own_broker, unique, count=0) as (scene, copier):
        filling = asyncio.create_task(scene.fill(COUNT))
        await eventually(lambda: len(copier.copied) > COUNT // 6, what="a beginning")
        await asyncio.to_thread(end, own_broker)
        await eventually(lambda: scene.plane.problem)
        done = len(copier.copied)
        assert done < COUNT, "it is in the middle"
        await asyncio.to_thread(own_broker.start)
        back = monotonic()
        await eventually(lambda: len(copier.copied) > done, what="pulling again")
        assert monotonic() - back < SOON_SECONDS
        await filling
        await scene.check_all_copied_once(copier, COUNT)
        assert copier.busiest <= 200
        assert scene.plane.problem == ""
        await eventually(lambda: not copier.pull.problem)


async def test_a_broker_that_is_gone_for_longer_than_every_wait_loses_and_doubles_nothing(
    own_broker: Broker, unique: str
) -> None:
    """Longer than ack_wait and a PubAck's patience; ninety seconds take the same way."""
    async with copying(own_broker, unique, count=0) as (scene, copier):
        filling = asyncio.create_task(scene.fill(COUNT))
        await eventually(lambda: len(copier.copied) > COUNT // 6, what="a beginning")
        await asyncio.to_thread(own_broker.kill)
        await asyncio.sleep(GONE_SECONDS)
        done = len(copier.copied)
        await asyncio.to_thread(own_broker.start)
        back = monotonic()
        await eventually(lambda: len(copier.copied) > done, what="pulling again")
        assert monotonic() - back < SOON_SECONDS
        await filling
        await scene.check_all_copied_once(copier, COUNT)


async def answers(control: ControlPlane) -> bool:
    try:
        await control.api("INFO", timeout=0.5)
    except BrokerError:
        return False
    return True


@pytest.mark.parametrize("way", ["swallow", "hold"])
async def test_a_partition_is_noticed_and_work_resumes_when_it_is_over(
    own_broker: Broker, unique: str, way: str
) -> None:
    """Nothing is refused and nothing is reset: bytes just do not arrive, or all of them later."""
    async with Proxy(own_broker.port) as proxy:
        nats = NatsSettings(url=f"nats://127.0.0.1:{proxy.port}")
        async with both(nats) as (plane, control):
            scene = Scene(unique, plane, control)
            copier = await scene.make()
            filling = asyncio.create_task(scene.fill(COUNT))
            await eventually(lambda: len(copier.copied) > COUNT // 6, what="a beginning")
            proxy.cut(way)
            await eventually(lambda: "connection to the broker lost" in plane.problem)
            await eventually(lambda: "no answer" in plane.problem, what="one attempt in vain")
            done = len(copier.copied)
            proxy.heal()
            back = monotonic()
            await eventually(lambda: len(copier.copied) > done, what="pulling again")
            assert monotonic() - back < SOON_SECONDS
            await filling
            await eventually(lambda: answers(control), what="the control plane, too")
            await scene.check_all_copied_once(copier, COUNT)


async def test_a_stopped_process_of_the_server_is_noticed_and_survived(
    own_broker: Broker, unique: str
) -> None:
    """SIGSTOP: the socket stays open, nothing is said; then everything at once."""
    async with copying(own_broker, unique) as (scene, copier):
        await eventually(lambda: len(copier.copied) > COUNT // 6)
        os.kill(own_broker.pid, signal.SIGSTOP)
        try:
            await eventually(lambda: "is silent" in copier.pull.problem or scene.plane.problem)
            await eventually(lambda: scene.plane.problem, what="giving the server up")
        finally:
            os.kill(own_broker.pid, signal.SIGCONT)
        await scene.check_all_copied_once(copier, COUNT)
        assert copier.busiest <= 200


async def test_a_pause_of_the_server_that_is_no_outage_costs_nothing(
    own_broker: Broker, unique: str
) -> None:
    """Silent for longer than two heartbeats, shorter than it takes to give it up."""
    async with copying(own_broker, unique, count=0) as (scene, copier):
        await eventually(lambda: not copier.pull.problem)
        os.kill(own_broker.pid, signal.SIGSTOP)
        try:
            await eventually(lambda: "is silent" in copier.pull.problem)
        finally:
            os.kill(own_broker.pid, signal.SIGCONT)
        await scene.fill(COUNT)
        await scene.check_all_copied_once(copier, COUNT)
        assert copier.busiest <= 200, "old and new requests are not served both"
        assert scene.plane.reconnects == 0


@contextmanager
def cluster(path: Path) -> Iterator[tuple[Broker, Broker]]:
    """Two routed servers; their JetStream has no quorum, which core NATS does not need."""
    routes = [free_port(), free_port()]
    brokers = []
    for number, route in enumerate(routes):
        config = path / f"{number}.conf"
        config.write_text(
            f"server_name: s{number}\nlame_duck_duration: 30s\nlame_duck_grace_period: 10s\n"
            f"cluster {{ name: c, listen: 127.0.0.1:{route}, "
            f"routes: [{', '.join(f'nats://127.0.0.1:{r}' for r in routes)}] }}\n"
        )
        brokers.append(Broker(path / f"store{number}", config=config))
    with brokers[0], brokers[1]:
        yield brokers[0], brokers[1]


async def know_both(plane: DataPlane) -> None:
    await eventually(lambda: len([*plane._servers]) >= 2, what="the other server is told of")


def at(plane: DataPlane) -> str:
    return plane._link.info.server_name if plane._link and not plane.problem else ""


async def test_a_server_learned_from_another_takes_over(tmp_path: Path) -> None:
    with cluster(tmp_path) as (first, _):
        async with both(settings_of(first)) as (plane, control):
            await know_both(plane)
            assert at(plane) == "s0"
            await asyncio.to_thread(first.stop)
            await eventually(lambda: at(plane) == "s1", within=30, what="the other server")
            await plane.flush()
            await eventually(lambda: not control.problem, within=30, what="a control plane")


async def test_lame_duck_mode_moves_both_planes_before_the_server_ends(tmp_path: Path) -> None:
    with cluster(tmp_path) as (first, _):
        async with both(settings_of(first)) as (plane, control):
            await know_both(plane)
            os.kill(first.pid, signal.SIGUSR2)
            await eventually(lambda: at(plane) == "s1")
            assert first.poll() is None, "it still runs"
            await eventually(lambda: control._session.info.server_name == "s1")
            assert plane.reconnects == 1
            first.kill()  # a lame duck takes its time


async def test_lame_duck_mode_loses_nothing_that_is_in_flight(
    own_broker: Broker, unique: str, tmp_path: Path
) -> None:
    """One server only: it says that it goes, ends, and comes back."""
    async with copying(own_broker, unique) as (scene, copier):
        await eventually(lambda: len(copier.copied) > COUNT // 6)
        os.kill(own_broker.pid, signal.SIGUSR2)
        await eventually(lambda: scene.plane.problem)
        assert copier.busiest <= 200
        await asyncio.to_thread(own_broker.kill)
        await asyncio.to_thread(own_broker.start)
        await scene.check_all_copied_once(copier, COUNT)


async def test_a_verdict_that_lingers_while_the_connection_breaks_is_sent_on_the_next_one(
    broker: Broker, unique: str
) -> None:
    """Acks wait some milliseconds for company; the message is not to come again after ack_wait."""
    async with both(settings_of(broker)) as (plane, control):
        await make_stream(control, unique.upper(), f"{unique}.>")
        await make_durable(control, unique.upper(), "d", ack_wait=60)
        settled: list[bytes] = []

        def on_delivery(_: bytes, reply: bytes, __: bytes, payload: bytes) -> None:
            settled.append(reply)
            if payload == b"later":
                plane.retry(reply, 3600)
            elif payload == b"never":
                plane.terminate(reply, "no")
            else:
                plane.ack(reply)
            plane.progress(reply)  # it is worth nothing on another connection
            assert plane._link is not None
            plane._link.abort("lost")  # what it has not written yet never leaves
            pull.settled()

        pull = plane.inflow(unique.upper(), "d", limit=1, on_delivery=on_delivery)
        pull.start()
        for payload in (b"now", b"later", b"never"):
            await control.publish(f"{unique}.a", payload)
        await eventually(lambda: len(settled) == 3, what="three connections, one delivery each")

        async def read() -> bool:
            info = await control.api(f"CONSUMER.INFO.{unique.upper()}.d")
            return (info["num_ack_pending"], info["ack_floor"]["stream_seq"]) == (1, 1)

        await eventually(lambda: plane.reconnects == 3 and not plane.problem)
        await eventually(read, what="the verdicts: only the retry is open")
        assert len(settled) == 3


async def test_verdicts_kept_for_the_next_connection_are_bounded(tmp_path: Path) -> None:
    plane = DataPlane(settings_of(Broker(tmp_path)), name="test")
    for number in range(100_000):
        plane.ack(b"$JS.ACK.S.d.1.%d.1.1.0" % number)
    assert len(plane._unsent) == 65_536
    assert plane._unsent[-1].startswith(b"PUB $JS.ACK.S.d.1.99999."), "the newest are kept"


# durables and streams that go away under a running pull


async def test_a_deleted_durable_is_told_and_recovers_when_it_is_made_again(
    broker: Broker, unique: str
) -> None:
    async with both(settings_of(broker)) as (plane, control):
        scene = Scene(unique, plane, control)
        copier = await scene.make()
        await scene.fill(10)
        await scene.check_all_copied_once(copier, 10)
        await control.api(f"CONSUMER.DELETE.{scene.source}.copy")
        await eventually(lambda: "durable 'copy' on" in copier.pull.problem)
        sent, since = copier.pull._count, monotonic()
        await eventually(lambda: copier.pull._count >= sent + 2, what="two more requests")
        assert monotonic() - since > 0.4, "it does not spin"
        config = {"durable_name": "copy", "ack_policy": "explicit"}
        body = {"stream_name": scene.source, "config": config}
        await control.api(f"CONSUMER.CREATE.{scene.source}.copy", body)
        await eventually(lambda: not copier.pull.problem)
        await scene.fill(5)
        await eventually(lambda: max(copier.copied) == 15)


async def test_a_deleted_stream_is_told_and_recovers_when_it_is_made_again(
    broker: Broker, unique: str
) -> None:
    async with both(settings_of(broker)) as (plane, control):
        scene = Scene(unique, plane, control)
        copier = await scene.make()
        await eventually(lambda: not copier.pull.problem)
        await control.api(f"STREAM.DELETE.{scene.source}")
        await control.api(f"STREAM.DELETE.{scene.target}")
        await eventually(lambda: "it is gone, or" in copier.pull.problem)
        copier.pull.stop()
        copier = await scene.make()
        await scene.fill(10)
        await scene.check_all_copied_once(copier, 10)


async def test_consuming_on_while_verdicts_wait_never_exceeds_the_limit(
    broker: Broker, unique: str
) -> None:
    async with both(settings_of(broker)) as (plane, control):
        scene = Scene(unique, plane, control)
        copier = await scene.make(limit=20)
        copier.held = True
        await scene.fill(100)
        await eventually(lambda: copier.busiest == 20)
        swept = plane.publishes._tick
        await eventually(lambda: plane.publishes._tick > swept + 2, what="time to ask for more")
        await plane.flush()
        info = await control.api(f"CONSUMER.INFO.{scene.source}.copy")
        assert (copier.busiest, info["num_ack_pending"], info["num_pending"]) == (20, 20, 80)
        copier.go_on()
        await scene.check_all_copied_once(copier, 100)
        assert copier.busiest == 20
