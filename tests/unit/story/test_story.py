"""A story runs services as they run, in memory, and its faults are those of a network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self, cast

import pytest
from msgspec import Struct

from jetmesh import (
    AlreadyDecided,
    ContractViolation,
    Reject,
    Service,
    Unavailable,
    event,
)
from jetmesh.errors import UsageError
from jetmesh.testing import Story
from tests.unit.story.desk import (
    Account,
    FakeGateway,
    Gateway,
    Ledger,
    Paid,
    Placed,
    Refused,
    TierReached,
    billing,
    counting,
    desk,
)


def test_what_follows_from_an_event_is_there_at_once() -> None:
    story = Story(billing, desk)
    story.given(Placed("o-1"))
    assert story.outcome(Paid, "o-1") == Paid("o-1", "c-1", 60)
    assert story.outcome(Refused, "o-1") is None
    assert story.state(Account, "c-1") == Account("c-1", 60)
    assert story.events(TierReached) == []
    assert story.read_model(Ledger).paid == {"o-1": 60}
    assert (story.letters(), story.retries(), story.problems()) == ([], [], [])


def test_a_state_remembers_from_event_to_event() -> None:
    story = Story(desk)
    story.given(Paid("o-1", "c-1", 60), Paid("o-2", "c-1", 60), Paid("o-3", "c-2", 5))
    assert story.state(Account, "c-1").points == 120
    assert story.state(Account, "c-2").points == 5
    assert story.state(Account, "c-3") is None
    assert story.events(TierReached) == [TierReached("c-1", 1)]


def test_no_time_passes_but_what_the_test_lets_pass() -> None:
    story = Story(desk)
    before = story.now
    story.given(Paid("o-1", "c-1", 60))
    assert story.now == before
    story.advance(timedelta(minutes=15))
    assert story.now == before + timedelta(minutes=15)
    story.advance(86_400 * 365)
    assert story.now == before + timedelta(days=365, minutes=15)


def test_effects_are_noted_with_the_message_that_they_were_for() -> None:
    story = Story(billing)
    story.given(Placed("o-1"))
    (effect,) = story.effects(Gateway)
    assert (effect.handler, effect.name) == ("story-billing.charge", "charge")
    assert effect.arguments == ("o-1", 60)
    assert effect.cause.startswith("STORY_ORDERS:1-")
    assert effect.call == "Gateway.charge('o-1', 60)"


def test_what_fails_comes_again_when_it_is_time() -> None:
    fake = FakeGateway([ValueError("once"), ValueError("twice")])
    story = Story(billing, gateway=fake)
    story.given(Placed("o-1"))
    (retry,) = story.retries()
    assert (retry.handler, retry.key) == ("story-billing.charge", "o-1")
    assert fake.charged == []
    story.advance(2)
    (retry,) = story.retries()
    assert retry.error == "ValueError"
    assert story.now < retry.at
    story.advance(retry.at - story.now)
    assert fake.charged == ["o-1"]
    assert story.retries() == []
    assert story.outcome(Paid, "o-1")


def test_what_fails_too_often_is_a_letter() -> None:
    story = Story(billing, gateway=FakeGateway([ValueError("no")] * 3))
    story.given(Placed("o-1"))
    story.advance(600)
    (letter,) = story.letters()
    assert (letter.handler, letter.key) == ("story-billing.charge", "o-1")
    assert (letter.error, letter.message, letter.attempts) == ("ValueError", "no", 3)
    assert story.retries() == []


def test_a_rejected_event_is_a_letter_at_once() -> None:
    story = Story(billing, gateway=FakeGateway([Reject("never")]))
    story.given(Placed("o-1"))
    assert [letter.error for letter in story.letters()] == ["Reject"]


def test_an_outage_is_waited_for_and_told() -> None:
    fake = FakeGateway([Unavailable("the gateway is away")] * 3)
    story = Story(billing, gateway=fake)
    story.given(Placed("o-1"), Placed("o-2"))
    assert any("the gateway is away" in problem for problem in story.problems())
    story.advance(60)
    assert story.problems() == []
    assert sorted(fake.charged) == ["o-1", "o-2"]
    assert story.letters() == []


def test_two_at_once_for_one_key_get_one_outcome() -> None:
    story = Story(billing, replicas=3)
    story.given(Placed("o-1", amount=60), Placed("o-1", amount=2000))
    assert len(story.events(Paid) + story.events(Refused)) == 1


def test_what_is_delivered_again_changes_nothing() -> None:
    story = Story(billing, desk)
    story.given(Placed("o-1"))
    for _ in range(3):
        story.redeliver(Placed("o-1"))
        story.redeliver(Paid("o-1", "c-1", 60))
        story.advance(3600)
    assert story.state(Account, "c-1").points == 60
    assert len(story.effects(Gateway)) == 1


def test_a_lost_ack_brings_its_message_back_once_ack_wait_is_over() -> None:
    story = Story(desk)
    story.lose_ack(desk)
    story.given(Paid("o-1", "c-1", 60))
    assert [retry.key for retry in story.retries()] == ["o-1"]
    story.advance(40)
    assert story.retries() == []
    assert story.state(Account, "c-1").points == 60


@pytest.mark.parametrize("after", range(20))
def test_a_process_may_die_at_any_step(after: int) -> None:
    story = Story(billing, desk)
    story.crash(billing, after=after)
    story.crash(desk, after=after)
    story.given(Placed("o-1"), Placed("o-2"))
    story.advance(120)
    assert story.state(Account, "c-1").points == 120
    assert story.events(TierReached) == [TierReached("c-1", 1)]
    assert len(story.events(Paid)) == 2
    assert story.letters() == []


def test_a_new_process_folds_its_read_model_from_the_beginning() -> None:
    story = Story(desk)
    story.given(Paid("o-1", "c-1", 60))
    story.crash(desk)
    story.advance(10)
    assert story.read_model(Ledger).paid == {"o-1": 60}


def test_published_twice_under_one_id_it_is_stored_once() -> None:
    story = Story(desk)
    story.given(Paid("o-1", "c-1", 60), message_id="web:1")
    story.given(Paid("o-1", "c-1", 60), message_id="web:1")
    assert story.state(Account, "c-1").points == 60


def test_another_order_is_another_order_and_the_same_each_time() -> None:
    def steps(seed: int) -> list[str]:
        story = Story(billing, desk, replicas=2)
        story.reorder(seed)
        told: list[str] = []
        story._world.on_step = lambda channel: told.append(channel.name)
        story.given(*(Placed(f"o-{n}") for n in range(5)))
        assert story.state(Account, "c-1").points == 300
        return told

    assert steps(1) == steps(1)
    assert steps(1) != steps(2)


async def test_a_story_is_told_within_a_running_loop_as_well() -> None:
    before = asyncio.current_task()
    story = Story(billing, desk)
    story.given(Placed("o-1"))
    assert story.state(Account, "c-1").points == 60
    assert asyncio.current_task() is before
    await asyncio.sleep(0)


def test_handlers_in_threads_and_those_that_wait_have_their_turn() -> None:
    service = Service("story-slow")

    @service.on(Placed, threads=2)
    def stamp(placed: Placed) -> Paid:
        return Paid(placed.order_id, placed.customer_id, 1)

    @service.on(Paid)
    async def tell(paid: Paid) -> TierReached:
        await asyncio.sleep(5)
        return TierReached(paid.customer_id, await asyncio.to_thread(lambda: 7))

    story = Story(service)
    story.given(Placed("o-1"))
    assert story.outcome(TierReached, "c-1") == TierReached("c-1", 7)
    assert story.now.second == 5


# what it refuses


def test_an_event_that_breaks_its_contract_is_refused() -> None:
    wrong: Any = "sixty"
    with pytest.raises(ContractViolation):
        Story(desk).given(Paid("o-1", "c-1", wrong))


def test_an_outcome_of_a_key_that_has_one_is_refused() -> None:
    story = Story(desk)
    story.given(Paid("o-1", "c-1", 60))
    with pytest.raises(AlreadyDecided):
        story.given(Paid("o-1", "c-1", 61))


@event("story-unknown.things", key="thing_id")
class Thing(Struct, frozen=True):
    thing_id: str


def test_an_event_that_nobody_knows_or_handles_is_refused() -> None:
    with pytest.raises(UsageError, match="Thing is no event of story-desk"):
        Story(desk).given(Thing("t-1"))
    with pytest.raises(UsageError, match="Nobody in this story handles TierReached"):
        Story(desk).given(TierReached("c-1", 1))
    with pytest.raises(UsageError, match="Account is a state"):
        Story(desk).given(Account("c-1"))


def test_a_resource_without_a_double_is_refused() -> None:
    service = Service("story-real")

    @service.resource
    async def gateway() -> AsyncIterator[Gateway]:
        yield Gateway()

    @service.on(Placed)
    async def charge(placed: Placed, gateway: Gateway) -> None:
        await gateway.charge(placed.order_id, placed.amount)

    with pytest.raises(UsageError, match="asks for a Gateway, of which there is no double") as told:
        Story(service)
    assert "Story(…, gateway=…)" in str(told.value.remedy)
    fake = FakeGateway()
    Story(service, gateway=fake).given(Placed("o-1"))
    assert fake.charged == ["o-1"]


def test_what_no_service_has_is_refused() -> None:
    with pytest.raises(UsageError, match="has a resource 'mailer'"):
        Story(billing, mailer=object())
    with pytest.raises(UsageError, match="story-billing is not in this story"):
        Story(desk).crash(billing)
    with pytest.raises(UsageError, match="No service of this story folds a Gateway"):
        Story(desk).read_model(Gateway)
    with pytest.raises(UsageError, match="Paid is an event"):
        Story(desk).state(Paid, "o-1")
    with pytest.raises(UsageError, match="No such Paid is stored"):
        Story(desk).redeliver(Paid("o-1", "c-1", 60))


def test_a_handler_that_reaches_for_the_network_ends_the_story() -> None:
    service = Service("story-network")

    @service.on(Placed)
    async def call(placed: Placed) -> None:
        await asyncio.open_connection("127.0.0.1", 9)

    with pytest.raises(UsageError, match="reaches for the network"):
        Story(service).given(Placed("o-1"))


def test_a_story_needs_services() -> None:
    with pytest.raises(UsageError, match="no services"):
        Story()
    with pytest.raises(UsageError, match="nothing to explore"):
        Story(counting()).explore()


# doubles


@dataclass
class Session:
    """A client that is also a context, as many are."""

    opened: int = 0

    async def __aenter__(self) -> Self:
        self.opened += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open."""


def test_a_double_passes_for_what_it_stands_for() -> None:
    service, seen = Service("story-doubled"), list[bool]()

    @service.resource
    async def gateway() -> AsyncIterator[Gateway]:
        yield Gateway()

    @service.resource
    async def session() -> AsyncIterator[Session]:
        yield Session()

    @service.on(Placed)
    async def charge(placed: Placed, gateway: Gateway, session: Session) -> None:
        fake = cast("FakeGateway", gateway)
        seen.append(isinstance(gateway, FakeGateway))
        fake.failures = []
        async with session:
            await fake.charge(placed.order_id, len(fake.charged))

    fake, client = FakeGateway([ValueError("no")]), Session()
    story = Story(service, gateway=fake, session=client)
    story.given(Placed("o-1"))
    assert seen == [True]
    assert (fake.charged, fake.failures) == (["o-1"], [])
    assert client.opened == 1
    assert [effect.resource for effect in story.effects()] == [Gateway]
