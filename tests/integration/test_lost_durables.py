"""Durables and streams that somebody deletes or changes under a running service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec import Struct
from structlog.testing import capture_logs

from jetmesh import Policy, Record, Service, derive, event
from jetmesh.declare import Duration, Topology
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.streams import lane_stream
from jetmesh.runtime.watch import DurableWatch
from jetmesh.testing import Mesh, eventually, mesh
from jetmesh.transport.provision import apply, plan
from jetmesh.transport.stored import ApiError

DEVELOPMENT = "apply"
PRODUCTION = "verify"


class Declared:
    """A service that remembers what it was given, and a dashboard beside it."""

    def __init__(self, domain: str, **on: Any) -> None:
        @event(f"{domain}.placed", key="id")
        class Placed(Struct, frozen=True):
            id: str

        class Board:
            def __init__(self) -> None:
                self.seen: list[tuple[int, str]] = []

            def apply(self, event: Placed, record: Record) -> None:
                self.seen.append((record.sequence, event.id))

        self.domain, self.stream, self.placed, self.board = domain, domain.upper(), Placed, Board
        self.given: list[str] = []
        self.service = Service(f"{domain}-service")
        self.service.read_model(Board, events=[Placed])

        @self.service.on(Placed, **on)
        def take(placed: Placed) -> None:
            self.given.append(placed.id)

        self.durable = f"{domain}-service-take"
        self.path = f"{self.stream}.{self.durable}"

    @property
    def topology(self) -> Topology:
        return derive([self.service], audited=False)


class Scene:
    """The service at work, and what an operator does to its durables."""

    def __init__(self, declared: Declared, m: Mesh) -> None:
        self.d, self.m = declared, m
        self.control = m.control

    @property
    def problems(self) -> list[str]:
        return self.m.running[self.d.service.name].health.problems()

    @property
    def seen(self) -> list[tuple[int, str]]:
        seen: list[tuple[int, str]] = (
            self.m.running[self.d.service.name].injector[self.d.board].seen
        )
        return seen

    async def place(self, *ids: str) -> None:
        for each in ids:
            await self.m.publish(self.d.placed(each))

    async def given(self, *ids: str) -> None:
        """Exactly these, each once, and nothing is left."""
        await eventually(lambda: len(self.d.given) >= len(ids), what="the work")
        await self.m.settled()
        assert self.d.given == [*ids]

    async def check(self) -> None:
        """Let the service look at its durables now, and not in some seconds."""
        running = self.m.running[self.d.service.name]
        for source in running.health.sources:
            if isinstance(source, DurableWatch):
                await source.check()

    async def info(self, path: str = "") -> dict[str, Any]:
        return await self.control.api(f"CONSUMER.INFO.{path or self.d.path}")

    async def delete(self, path: str = "") -> None:
        await self.control.api(f"CONSUMER.DELETE.{path or self.d.path}")

    async def change(self, **fields: Any) -> None:
        config = {**(await self.info())["config"], **fields}
        body = {"stream_name": self.d.stream, "config": config, "action": "update"}
        await self.control.api(f"CONSUMER.CREATE.{self.d.path}", body)

    async def apply(self) -> None:
        """What `jetmesh apply` does."""
        await apply(self.control, await plan(self.control, self.d.topology))

    async def red(self, *words: str) -> None:
        async def told() -> bool:
            await self.check()
            return any(all(word in problem for word in words) for problem in self.problems)

        await eventually(told, what=f"not ready: {' '.join(words)}")

    async def green(self) -> None:
        async def is_green() -> bool:
            await self.check()
            return not self.problems

        await eventually(is_green, what="ready")


@asynccontextmanager
async def at_work(
    broker: Broker, declared: Declared, provision: str, **variables: str
) -> AsyncIterator[Scene]:
    """Ready; in production somebody has applied before."""
    settings = {"JETMESH__PROVISION": provision, **variables}
    if provision == PRODUCTION:
        async with mesh(declared.service, url=broker.url):
            pass
    async with mesh(declared.service, url=broker.url, settings=settings) as m:
        yield Scene(declared, m)


async def test_in_development_a_deleted_durable_is_made_again_behind_its_ack_floor(
    broker: Broker, unique: str
) -> None:
    async with at_work(broker, Declared(unique), DEVELOPMENT) as scene:
        before = [f"p-{n}" for n in range(20)]
        await scene.place(*before)
        await scene.given(*before)
        await scene.check()
        with capture_logs() as logs:
            await scene.delete()
            await scene.place("meanwhile")
            await scene.given(*before, "meanwhile")  # by itself: nobody tells it to look
            await scene.green()
        (told,) = [line for line in logs if line["event"].startswith("durable was deleted")]
        assert (told["log_level"], told["behind"]) == ("warning", 20)
        assert (await scene.info())["config"]["opt_start_seq"] == 21
        planned = await plan(scene.control, scene.d.topology)
        assert planned.changes == (), "where it began is no drift"


async def test_what_others_set_on_a_durable_made_again_is_still_compared(
    broker: Broker, unique: str
) -> None:
    async with at_work(broker, Declared(unique), DEVELOPMENT) as scene:
        await scene.place("p-1")
        await scene.given("p-1")
        await scene.check()
        await scene.delete()
        await scene.check()
        await scene.change(max_ack_pending=7)
        planned = await plan(scene.control, scene.d.topology)
        assert [field.name for change in planned.changes for field in change.fields] == [
            "max_ack_pending"
        ]
        await scene.apply()
        assert (await scene.info())["config"]["max_ack_pending"] == 8192


async def test_in_production_a_deleted_durable_waits_for_apply_and_says_how_far_it_was(
    broker: Broker, unique: str
) -> None:
    async with at_work(broker, Declared(unique, start="new"), PRODUCTION) as scene:
        await scene.place("p-1", "p-2")
        await scene.given("p-1", "p-2")
        await scene.check()
        await scene.delete()
        await scene.red(f"no durable {scene.d.durable} on {scene.d.stream}", "acked up to 2")
        await scene.check()
        with pytest.raises(ApiError, match="not found"):
            await scene.info()
        await scene.apply()
        await scene.green()
        await scene.place("p-3")
        await scene.given("p-1", "p-2", "p-3")


async def test_an_operator_applies_a_lost_durable_behind_what_it_had_acked(
    broker: Broker, unique: str
) -> None:
    async with at_work(broker, Declared(unique), PRODUCTION) as scene:
        await scene.place("p-1", "p-2")
        await scene.given("p-1", "p-2")
        await scene.delete()
        await scene.place("p-3")
        floors = {f"{scene.d.stream}/{scene.d.durable}": 2}
        planned = await plan(scene.control, scene.d.topology, floors=floors)
        await apply(scene.control, planned)
        await scene.given("p-1", "p-2", "p-3")
        await scene.green()


async def test_in_development_a_changed_durable_is_changed_back(
    broker: Broker, unique: str
) -> None:
    async with at_work(broker, Declared(unique), DEVELOPMENT) as scene:
        with capture_logs() as logs:
            await scene.change(max_ack_pending=7)
            await scene.check()
        assert (await scene.info())["config"]["max_ack_pending"] == 8192
        (told,) = [line for line in logs if line["event"].startswith("durable was changed")]
        assert "max_ack_pending is 7, declared 8192" in told["difference"]
        assert scene.problems == []


async def test_in_production_a_changed_durable_is_not_ready_and_says_the_difference(
    broker: Broker, unique: str
) -> None:
    async with at_work(broker, Declared(unique), PRODUCTION) as scene:
        await scene.change(max_ack_pending=7)
        await scene.red("max_ack_pending is 7, declared 8192", "run jetmesh apply")
        assert (await scene.info())["config"]["max_ack_pending"] == 7
        await scene.apply()
        await scene.green()


async def test_a_durable_of_another_kind_is_not_ready_even_in_development(
    broker: Broker, unique: str
) -> None:
    """What cannot be updated would have to be deleted: that is nobody's to do unasked."""
    async with at_work(broker, Declared(unique), DEVELOPMENT) as scene:
        config = {**(await scene.info())["config"], "max_waiting": 5}
        await scene.delete()
        body = {"stream_name": scene.d.stream, "config": config}
        await scene.control.api(f"CONSUMER.CREATE.{scene.d.path}", body)
        await scene.red("max_waiting is 5", "cannot be changed")


@pytest.mark.parametrize("provision", [DEVELOPMENT, PRODUCTION])
async def test_the_durable_of_a_lane_is_watched_too(
    broker: Broker, unique: str, provision: str
) -> None:
    async with at_work(broker, Declared(unique), provision) as scene:
        stream = lane_stream(scene.d.service.name)
        lane = f"{stream}.{scene.d.durable}"
        await scene.check()
        await scene.delete(lane)
        if provision == PRODUCTION:
            await scene.red(f"no durable {scene.d.durable} on {stream}")
            await scene.apply()
        await scene.green()
        await scene.check()
        assert (await scene.info(lane))["config"]["filter_subjects"]
        assert scene.problems == []


async def test_a_deleted_stream_is_told_and_never_made_again_by_a_running_service(
    broker: Broker, unique: str
) -> None:
    async with at_work(broker, Declared(unique), DEVELOPMENT) as scene:
        await scene.place("p-1", "p-2", "p-3")
        await scene.given("p-1", "p-2", "p-3")
        await scene.control.api(f"STREAM.DELETE.{scene.d.stream}")
        await scene.red(f"no stream {scene.d.stream} any more", "jetmesh apply")
        await scene.red(f"the history of {scene.d.stream} cannot be read")
        await scene.check()
        with pytest.raises(ApiError, match="stream not found"):
            await scene.control.api(f"STREAM.INFO.{scene.d.stream}")

        await scene.apply()
        await scene.green()
        await scene.place("q-1", "q-2")
        await scene.given("p-1", "p-2", "p-3", "q-1", "q-2")
        await eventually(lambda: len(scene.seen) >= 2)
        assert scene.seen == [(1, "q-1"), (2, "q-2")], "a read model shows what the streams hold"


@pytest.mark.parametrize("start", ["all", "new"])
async def test_a_stream_made_again_without_its_durable_is_read_from_its_first_event(
    broker: Broker, unique: str, start: str
) -> None:
    """As when another service was started first; the old ack floor means nothing there."""
    async with at_work(broker, Declared(unique, start=start), DEVELOPMENT) as scene:
        await scene.place(*(f"p-{n}" for n in range(10)))
        await eventually(lambda: len(scene.d.given) == 10)
        await scene.check()
        config = (await scene.control.api(f"STREAM.INFO.{scene.d.stream}"))["config"]
        await scene.control.api(f"STREAM.DELETE.{scene.d.stream}")
        await scene.control.api(f"STREAM.CREATE.{scene.d.stream}", config)
        await scene.place("q-1", "q-2")
        await eventually(lambda: scene.d.given[10:] == ["q-1", "q-2"])
        await scene.green()
        assert scene.seen == [(1, "q-1"), (2, "q-2")]


async def test_a_durable_that_stands_still_with_messages_waiting_is_not_ready(
    broker: Broker, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jetmesh.declare.topology.STALL_SECONDS", 0.2)
    policy = Policy(timeout=Duration(0.1), ack_wait=Duration(5))
    async with at_work(broker, Declared(unique, policy=policy), DEVELOPMENT) as scene:
        running = scene.m.running[scene.d.service.name]
        running.consumers[0].inflow.stop()
        await running._plane.flush()  # or the server delivers before it reads that
        await scene.place("p-1")
        await scene.red(
            f"{scene.d.durable} on {scene.d.stream} stands still", "with 1 messages waiting"
        )
        running.consumers[0].inflow.start()
        await scene.given("p-1")
        await scene.check()
        assert scene.problems == []
