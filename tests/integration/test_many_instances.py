"""A hundred processes of one service: they share its work, start quietly, are found, may go.

`python -m harness.instances 1000` in `benchmarks/` does the same with a thousand.
"""

from __future__ import annotations

import asyncio
import json
import resource
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

import pytest
from msgspec import Struct

from jetmesh import Service, event
from jetmesh.declare import derive
from jetmesh.operate.asking.instances import running as answering
from jetmesh.operate.up.broker import Broker
from jetmesh.runtime.running import Running
from jetmesh.settings import load_settings
from jetmesh.testing import eventually
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.provision import apply, plan
from tests.integration.planes import settings_of
from tests.programs import program

pytestmark = pytest.mark.timeout(300)
_MANY: Final = 100
_FILES_OF_EACH: Final = 8
_AT_ONCE: Final = 200
_EVENTS: Final = 20 * _MANY


@contextmanager
def enough_files() -> Iterator[None]:
    """As many descriptors as it takes; skipped where the system gives fewer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _MANY * _FILES_OF_EACH
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f"{needed} files may not be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@dataclass
class Crowd:
    """Many instances of a service that copies, each of which knows what it has copied."""

    control: ControlPlane
    broker: Broker
    service: str
    streams: tuple[str, str]
    stack: AsyncExitStack
    instances: list[Running]
    asked: int
    """What JetStream was asked while they started."""

    async def publish(self, begin: int, end: int) -> None:
        subject = f"{self.streams[0].lower()}.taken"
        body = [json.dumps({"id": f"p-{number}"}).encode() for number in range(begin, end)]
        for first in range(0, len(body), _AT_ONCE):
            some = enumerate(body[first : first + _AT_ONCE], begin + first)
            await asyncio.gather(*(self.control.publish(f"{subject}.p-{n}", b) for n, b in some))

    async def stored(self) -> int:
        answer = await self.control.api(f"STREAM.INFO.{self.streams[1]}")
        return int(answer["state"]["messages"])

    @property
    def shares(self) -> list[int]:
        return [each.consumers[0].stats.acked for each in self.instances]


async def asked_of(control: ControlPlane) -> int:
    return int((await control.api("INFO"))["api"]["total"])


@pytest.fixture
async def crowd(own_broker: Broker, unique: str) -> AsyncIterator[Crowd]:
    @event(f"{unique}.taken", key="id")
    class Taken(Struct, frozen=True):
        id: str

    @event(f"{unique}x.copied", key="id", decision=f"{unique}x.*")
    class Copied(Struct, frozen=True):
        id: str

    def made() -> Service:
        service = Service(f"{unique}-service")

        @service.on(Taken)
        def copy(taken: Taken) -> Copied:
            return Copied(taken.id)

        return service

    environ = {
        "JETMESH__HTTP__PORT": "0",
        "JETMESH__NATS__URL": own_broker.url,
        "JETMESH__PROVISION": "verify",
    }
    with enough_files():
        async with AsyncExitStack() as stack:
            control = await ControlPlane.connect(settings_of(own_broker), name="test")
            stack.push_async_callback(control.close)
            topology = derive([made()], audited=False)
            await apply(control, await plan(control, topology))
            before = await asked_of(control)
            services = [made() for _ in range(_MANY)]
            found = [Running(each, load_settings([each], environ=environ)) for each in services]
            await asyncio.gather(*(stack.enter_async_context(each) for each in found))
            await asyncio.gather(*(each.started for each in found))
            asked = await asked_of(control) - before
            streams = unique.upper(), f"{unique}x".upper()
            yield Crowd(control, own_broker, services[0].name, streams, stack, found, asked)


async def test_a_hundred_start_together_share_the_work_are_found_and_may_all_but_one_go(
    crowd: Crowd,
) -> None:
    # each asks for what is its own once: JetStream, streams, durables
    specs = derive([crowd.instances[0]._service], audited=False)
    own = 1 + len(specs.streams) + len(specs.durables)
    assert crowd.asked <= _MANY * own + _MANY // 2, "a storm"

    await crowd.publish(0, _EVENTS)
    await eventually(lambda: sum(crowd.shares) >= _EVENTS, within=120, what="the work")
    assert await crowd.stored() == _EVENTS
    assert min(crowd.shares) > 0, Counter(crowd.shares)
    assert max(crowd.shares) < _EVENTS / 4, Counter(crowd.shares)

    found = await answering(settings_of(crowd.broker), {crowd.service})
    assert len(found) == _MANY
    listed = await asyncio.create_subprocess_exec(
        *(program("nats"), "--server", crowd.broker.url, "micro", "ls", "--json"),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await asyncio.wait_for(listed.communicate(), 60)
    assert said.decode().count(crowd.service) >= _MANY
    measured = await asyncio.to_thread(get, f"{crowd.instances[0].http.health_url}/metrics")
    assert crowd.service in measured

    working = asyncio.create_task(crowd.publish(_EVENTS, 2 * _EVENTS))
    *going, stays = crowd.instances
    await asyncio.gather(*(each.__aexit__(None, None, None) for each in going))
    await working
    await eventually(lambda: sum(crowd.shares) >= 2 * _EVENTS, within=120, what="the rest")
    assert await crowd.stored() == 2 * _EVENTS
    assert not stays.health.problems()


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - of loopback
        return str(answer.read().decode())


async def test_answers_are_taken_while_they_come(own_broker: Broker) -> None:
    """A thousand take longer than the doctor's patience with one."""
    async with await ControlPlane.connect(settings_of(own_broker), name="test") as control:

        def answer(number: int) -> Callable[[str], Awaitable[bytes]]:
            async def late(_: str) -> bytes:
                await asyncio.sleep(number * 0.1)
                return json.dumps({"name": "crowd", "id": f"{number}"}).encode()

            return late

        for number in range(25):
            await control.subscribe("$SRV.STATS", answer(number))
        found = await answering(settings_of(own_broker), {"crowd"})
        assert {each.id for each in found} == {f"{number}" for number in range(25)}
