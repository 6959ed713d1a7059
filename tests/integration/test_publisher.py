"""Publishing from any program: stored once, by its contract, whatever the broker does meanwhile."""

from __future__ import annotations

from typing import Any, cast

import httpx
import pytest
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from jetmesh import (
    AlreadyDecided,
    BrokerError,
    ContractViolation,
    Duration,
    Publisher,
    Service,
    Stored,
    event,
)
from jetmesh.declare import StreamTuning, derive
from jetmesh.errors import UsageError, WindowFull
from jetmesh.operate.up.broker import Broker
from jetmesh.settings import NatsSettings
from jetmesh.testing import eventually, mesh
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.provision import apply, plan


class Shop:
    """Two events of a domain of its own, and its stream on a broker."""

    def __init__(self, domain: str, broker: Broker, **tuning: Any) -> None:
        @event(f"{domain}.placed", key="order_id")
        class Placed(Struct, frozen=True):
            order_id: str
            amount: int = 0

        @event(f"{domain}.noted")
        class Noted(Struct, frozen=True):
            text: str

        @event(f"{domain}-verdict.paid", key="order_id", decision=f"{domain}-verdict.*")
        class Paid(Struct, frozen=True):
            order_id: str

        @event(f"{domain}-verdict.refused", key="order_id", decision=f"{domain}-verdict.*")
        class Refused(Struct, frozen=True):
            order_id: str

        self.service = Service(f"{domain}-shop")
        self.service.publishes(Placed, Noted, Paid, Refused)
        self.placed, self.noted, self.paid, self.refused = Placed, Noted, Paid, Refused
        self.nats = NatsSettings(url=broker.url)
        self.stream = domain.upper().replace("-", "_")
        self._tuning = StreamTuning(**tuning)

    def publisher(self, **more: Any) -> Publisher:
        return Publisher(self.placed, self.paid, self.refused, nats=self.nats, **more)

    async def apply(self) -> None:
        verdicts = f"{self.stream}_VERDICT"
        topology = derive([self.service], streams={verdicts: self._tuning})
        async with await ControlPlane.connect(self.nats, name="test") as control:
            await apply(control, await plan(control, topology))

    async def stored(self) -> list[tuple[str, bytes]]:
        async with await ControlPlane.connect(self.nats, name="test") as control:
            return [(m.subject, m.payload) async for m in control.history(self.stream, [">"])]


async def test_an_event_is_stored_on_the_subject_of_its_key(broker: Broker) -> None:
    shop = Shop("pub-key", broker)
    await shop.apply()
    async with shop.publisher() as publisher:
        first = await publisher.publish(shop.placed("a b", 3))
    assert (first.sequence, first.duplicate) == (1, False)
    assert await shop.stored() == [("pub-key.placed.a%20b", b'{"order_id":"a b","amount":3}')]


async def test_the_same_id_is_stored_once_and_said_to_be_a_duplicate(broker: Broker) -> None:
    shop = Shop("pub-twice", broker)
    await shop.apply()
    for expected in (False, True):  # two programs, or one that was started again
        async with shop.publisher() as publisher:
            told = await publisher.publish(shop.placed("1"), message_id="web:1")
            assert (told.sequence, told.duplicate) == (1, expected)
    assert len(await shop.stored()) == 1


async def test_without_an_id_two_equal_events_are_two(broker: Broker) -> None:
    shop = Shop("pub-equal", broker)
    await shop.apply()
    async with shop.publisher() as publisher:
        both = [await publisher.publish(shop.placed("1")) for _ in range(2)]
    assert [(told.sequence, told.duplicate) for told in both] == [(1, False), (2, False)]


async def test_an_event_that_breaks_its_contract_is_not_sent(broker: Broker) -> None:
    shop = Shop("pub-broken", broker)
    await shop.apply()
    async with shop.publisher() as publisher:
        with pytest.raises(ContractViolation, match=r"pub-broken\.placed: Expected `int`"):
            await publisher.publish(shop.placed("1", cast("int", "much")))
        for key in ("", "k" * 201, "\ud800"):
            with pytest.raises(ContractViolation):
                await publisher.publish(shop.placed(key))
    assert await shop.stored() == []


async def test_a_key_that_is_decided_says_so_and_by_what(broker: Broker) -> None:
    shop = Shop("pub-decided", broker)
    await shop.apply()
    async with shop.publisher() as publisher:
        await publisher.publish(shop.paid("1"))
        with pytest.raises(AlreadyDecided) as refused:
            await publisher.publish(shop.refused("1"))
    assert refused.value.subject == "pub-decided-verdict.paid.1"
    assert refused.value.cause == "PUB_DECIDED_VERDICT:1"


async def test_an_outcome_published_again_after_the_server_forgot_its_id_is_a_duplicate(
    broker: Broker,
) -> None:
    shop = Shop("pub-late", broker, duplicate_window=Duration(0.1))
    await shop.apply()

    async with shop.publisher() as publisher:
        first = await publisher.publish(shop.paid("1"), message_id="till:1")

        async def is_forgotten() -> bool:  # then the server guards, where it had remembered
            try:
                await publisher.publish(shop.refused("1"), message_id="till:1")
            except AlreadyDecided:
                return True
            return False

        await eventually(is_forgotten)
        again = await publisher.publish(shop.paid("1"), message_id="till:1")
    assert again == Stored(first.stream, first.sequence, duplicate=True)


async def test_what_is_sent_while_the_broker_is_away_is_stored_once_it_is_back(
    own_broker: Broker,
) -> None:
    shop = Shop("pub-away", own_broker)
    await shop.apply()
    async with shop.publisher() as publisher:
        await publisher.publish(shop.placed("before"))
        own_broker.kill()
        await eventually(lambda: publisher.problem != "")
        waiting = [publisher.publish_nowait(shop.placed(f"{n}")) for n in range(20)]
        own_broker.start()
        told = [await each for each in waiting]
    assert [each.sequence for each in told] == list(range(2, 22))
    assert len(await shop.stored()) == 21


async def test_a_full_window_refuses_and_says_why(own_broker: Broker) -> None:
    shop = Shop("pub-full", own_broker)
    await shop.apply()
    async with shop.publisher(window=2) as publisher:
        own_broker.kill()
        await eventually(lambda: publisher.problem != "")
        for number in range(2):
            publisher.publish_nowait(shop.placed(f"{number}"))
        with pytest.raises(WindowFull, match=r"^2 events are on their way: .*connection.*lost"):
            publisher.publish_nowait(shop.placed("2"))
        with pytest.raises(BrokerError, match="not known whether 2 events are stored"):
            await publisher.flush(timeout=0.05)
        own_broker.start()
        await publisher.flush()
    assert len(await shop.stored()) == 2


async def test_what_can_never_be_stored_says_so(broker: Broker) -> None:
    shop = Shop("pub-large", broker)
    await shop.apply()
    async with Publisher(shop.noted, nats=shop.nats) as publisher:
        with pytest.raises(BrokerError, match=r"pub-large\.noted cannot be stored: .* max_payload"):
            await publisher.publish(shop.noted("x" * 1_100_000))


async def test_a_publisher_is_used_as_declared(broker: Broker) -> None:
    shop = Shop("pub-use", broker)
    with pytest.raises(UsageError, match="not open"):
        await shop.publisher().publish(shop.placed("1"))
    with pytest.raises(UsageError, match="is not an event"):
        Publisher(Struct)
    with pytest.raises(UsageError, match="publishes nothing"):
        Publisher()
    await shop.apply()
    async with Publisher(shop.paid, nats=shop.nats) as publisher:
        with pytest.raises(UsageError, match="does not publish Placed, only Paid"):
            await publisher.publish(shop.placed("1"))
        for wrong in ("two words", "i" * 1025, "ä", "a\r\nb"):
            with pytest.raises(UsageError, match="message id is not legal"):
                await publisher.publish(shop.paid("1"), message_id=wrong)


async def test_a_page_lets_events_in(broker: Broker) -> None:
    shop = Shop("pub-page", broker)
    placed = shop.placed

    @shop.service.web
    def pages(publisher: Publisher) -> list[Route]:
        async def order(request: Request) -> JSONResponse:
            told = await publisher.publish(placed(request.path_params["id"]))
            return JSONResponse(told.sequence)

        return [Route("/orders/{id}", order, methods=["POST"])]

    async with mesh(shop.service, url=broker.url) as m:
        url = m.running[shop.service.name].http.url
        async with httpx.AsyncClient(base_url=url) as client:
            assert (await client.post("/orders/7")).json() == 1
    assert [subject for subject, _ in await shop.stored()] == ["pub-page.placed.7"]
