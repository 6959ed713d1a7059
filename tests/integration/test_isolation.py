"""What people and tools see of a broker with derived identities."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import Struct

from jetmesh import Service, derive, event
from jetmesh.declare import Topology
from jetmesh.errors import BrokerError
from jetmesh.operate.identities import CLIENT, MONITOR, OPERATOR, Isolation
from jetmesh.operate.up.ports import free_port
from jetmesh.runtime.running import Running
from jetmesh.testing import _load, eventually
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.provision import apply, plan
from tests.attacks.intruder import intruding
from tests.integration.identities import rewrite
from tests.isolated import Isolated, config_of, isolated
from tests.programs import program


@event("in.placed", key="id")
class Placed(Struct, frozen=True):
    id: str


@event("out.accepted", key="id", decision="out.*")
class Accepted(Struct, frozen=True):
    id: str


class Board:
    def apply(self, _: object, __: object) -> None: ...


worker = Service("worker")
pages = Service("pages")
pages.read_model(Board, events=[Accepted])


@worker.on(Placed)
def decide(placed: Placed) -> Accepted:
    return Accepted(placed.id)


@pages.web
def routes(_: Board) -> list[Any]:
    return []


@pytest.fixture
def topology() -> Topology:
    return derive([worker, pages])


@pytest.fixture
def monitoring() -> int:
    return free_port()


@pytest.fixture(params=["users", "pages", "all"])
def guarded(
    request: pytest.FixtureRequest, tmp_path: Path, topology: Topology, monitoring: int
) -> Iterator[Isolated]:
    isolation: Isolation = request.param
    more = f'http: "127.0.0.1:{monitoring}"\n'
    with isolated(topology, isolation, tmp_path, more=more) as started:
        yield started


def nats(guarded: Isolated, *arguments: str) -> str:
    """What a person sees who types it without logging in."""
    done = subprocess.run(
        [program("nats"), "--server", guarded.broker.url, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_tools_and_people_see_what_they_saw_before(
    guarded: Isolated, topology: Topology, monitoring: int
) -> None:
    url = guarded.broker.url
    async with await guarded.control() as operator:
        await apply(operator, await plan(operator, topology))
        async with (
            Running(worker, _load([worker], url, guarded.variables("worker"))) as first,
            Running(pages, _load([pages], url, guarded.variables("pages"))) as second,
        ):
            await first.started
            await second.started
            nats(guarded, "pub", "in.placed", '{"id":"a"}')
            await eventually(lambda: operator.last("OUT", "out.accepted.a"), what="an outcome")
            assert "OUT" in nats(guarded, "stream", "report")
            assert "worker-decide" in nats(guarded, "consumer", "report", "IN")
            await eventually(lambda: not second.health.problems(), what="the read model")
            for who in (CLIENT, MONITOR, OPERATOR):
                assert await found(guarded, who) == {"worker", "pages"}, who
        # what KEDA asks: the account is a name in its trigger, nobody logs in
        asked = {"acc": "MESH", "streams": "1", "consumers": "1", "config": "1"}
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"http://127.0.0.1:{monitoring}/jsz", params=asked)
        [account] = answer.json()["account_details"]
        consumers = {
            each["name"]
            for stream in account["stream_detail"]
            for each in stream.get("consumer_detail", [])
        }
        assert {"worker-decide", "pages-Board-1"} <= consumers


async def found(guarded: Isolated, who: str) -> set[str]:
    """The services that answer, as `nats micro ls` finds them."""
    names: list[str] = []

    async def hear(message: Any) -> None:
        names.append(json.loads(message.data)["name"])

    async with intruding(guarded.settings(who)) as asking:
        inbox = asking.client.new_inbox()
        await asking.client.subscribe(inbox, cb=hear)
        await asking.publishes("$SRV.PING", reply=inbox)
        await eventually(lambda: len(names) >= 2, what="both services")
        await asking.settled()
    assert len(names) == 2, "each of them once"
    return set(names)


@pytest.mark.parametrize("isolation", ["users", "pages", "all"])
async def test_a_service_that_is_added_gets_its_identity_by_two_reloads(
    tmp_path: Path, isolation: Isolation
) -> None:
    """Nothing that is stored is lost by that. With one, JetStream does not answer a new account."""
    before, after = derive([worker]), derive([worker, pages])
    later = config_of(after, isolation, tmp_path)
    with isolated(before, isolation, tmp_path) as guarded:
        async with await guarded.control() as operator:
            await apply(operator, await plan(operator, before))
            await operator.publish("in.placed.a", b'{"id":"a"}')
            for count in (1, 2):
                rewrite(guarded.broker, f"{later.text}# {count}\n")
                await reloaded(guarded, count)
            new = Isolated(guarded.broker, later)
            async with await new.control("pages") as control:
                await eventually(lambda: answers(control), within=20, what="JetStream")
            await eventually(lambda: answers(operator), within=20, what="JetStream, again")
            assert await operator.last("IN", "in.placed.a")


async def reloaded(guarded: Isolated, count: int) -> None:
    """The server has read its configuration so often."""
    said = "Reloaded server configuration"
    log = guarded.broker.log
    await eventually(lambda: log.read_text().count(said) == count, within=20, what="a reload")


async def answers(control: ControlPlane) -> bool:
    try:
        await control.check_server()
    except BrokerError:
        return False
    return True
