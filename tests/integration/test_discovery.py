"""Services as the NATS micro protocol shows them: by nats-py and by the real nats CLI."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import nats
from msgspec import Struct

from jetmesh import Service, event
from jetmesh.operate.up.broker import Broker
from jetmesh.runtime.discovery import Discovery
from jetmesh.settings import NatsSettings
from jetmesh.testing import Mesh, eventually, mesh
from jetmesh.transport.control import ControlPlane
from tests.programs import program


def shop(unique: str) -> tuple[Any, Service]:
    @event(f"{unique}-in.placed", key="order_id")
    class Placed(Struct, frozen=True):
        order_id: str

    @event(f"{unique}.accepted", key="order_id", decision=f"{unique}.*")
    class Accepted(Struct, frozen=True):
        order_id: str

    service = Service(f"{unique}-service", version="1.2.3", description="Decides orders")

    @service.on(Placed)
    def decide(placed: Placed) -> Accepted:
        return Accepted(placed.order_id)

    @service.on(Placed)
    async def fail(placed: Placed) -> None:
        raise ValueError("cannot write to customer@example.test")

    return Placed, service


async def used(m: Mesh, placed: Any) -> None:
    """One delivery of each handler, the second failed."""
    await m.publish(placed("p-1"))
    consumers = next(iter(m.running.values())).consumers
    await eventually(lambda: consumers[0].stats.acked, what="the first handler")
    await eventually(lambda: consumers[1].stats.failed, what="the second handler")


async def ask(url: str, subject: str) -> list[dict[str, Any]]:
    """Every answer to a request, as nats-py gets it."""
    client = await nats.connect(url)
    try:
        answers = await client.subscribe(inbox := client.new_inbox())
        await client.publish(subject, b"", reply=inbox)
        found = [json.loads((await answers.next_msg(timeout=5)).data)]
        await client.publish(inbox, b"null")  # what is answered already stands before it
        while (answer := json.loads((await answers.next_msg(timeout=5)).data)) is not None:
            found.append(answer)
        return found
    finally:
        await client.close()


async def test_a_service_answers_ping_info_and_stats(broker: Broker, unique: str) -> None:
    placed, service = shop(unique)
    async with mesh(service, url=broker.url) as m:
        await used(m, placed)
        (ping,) = await ask(broker.url, f"$SRV.PING.{service.name}")
        assert ping["type"] == "io.nats.micro.v1.ping_response"
        assert (ping["name"], ping["version"]) == (service.name, "1.2.3")
        assert ping in await ask(broker.url, "$SRV.PING")
        assert [ping] == await ask(broker.url, f"$SRV.PING.{service.name}.{ping['id']}")

        (info,) = await ask(broker.url, f"$SRV.INFO.{service.name}")
        assert info["type"] == "io.nats.micro.v1.info_response"
        assert info["description"] == "Decides orders"
        first, second = info["endpoints"]
        assert (first["name"], first["subject"]) == ("decide", f"{unique}-in.placed")
        assert first["queue_group"] == f"{service.name}-decide"
        assert first["metadata"]["outputs"] == f"{unique}.accepted"
        assert second["name"] == "fail"

        (stats,) = await ask(broker.url, f"$SRV.STATS.{service.name}")
        assert stats["type"] == "io.nats.micro.v1.stats_response"
        decide, fail = stats["endpoints"]
        assert (decide["num_requests"], decide["num_errors"]) == (1, 0)
        assert decide["processing_time"] > 0
        assert decide["data"]["acked"] == 1
        assert fail["num_errors"] >= 1
        assert fail["last_error"] == "ValueError: cannot write to •••"


async def test_an_instance_says_where_it_runs_and_why_it_is_not_ready(
    broker: Broker, unique: str
) -> None:
    """For those who cannot reach its /readyz; the doctor shows it."""
    _, service = shop(unique)
    problems = ["the stream is full", "it stands still"]
    settings = NatsSettings(url=broker.url)
    async with await ControlPlane.connect(settings, name="test") as control:
        await Discovery(service, "one", [], lambda: problems).serve(control)
        (stats,) = await ask(broker.url, f"$SRV.STATS.{service.name}")
        assert stats["metadata"]["problem"] == "the stream is full; it stands still"
        assert stats["metadata"]["host"] == socket.gethostname()
        problems.clear()
        (ping,) = await ask(broker.url, f"$SRV.PING.{service.name}")
        assert "problem" not in ping["metadata"]


async def test_the_nats_cli_lists_a_service_with_its_handlers(broker: Broker, unique: str) -> None:
    nats_cli = program("nats")
    placed, service = shop(unique)

    async def cli(*arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            nats_cli,
            "--server",
            broker.url,
            "micro",
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await asyncio.wait_for(process.communicate(), 20)
        assert process.returncode == 0, output.decode()
        return output.decode()

    async with mesh(service, url=broker.url) as m:
        await used(m, placed)
        listed, info, stats = await asyncio.gather(
            cli("ls"), cli("info", service.name), cli("stats", service.name)
        )
    assert service.name in listed
    assert "1.2.3" in listed
    for word in ("Decides orders", "decide", "fail", f"{unique}-in.placed"):
        assert word in info
    for word in ("decide", "fail", service.name):
        assert word in stats
