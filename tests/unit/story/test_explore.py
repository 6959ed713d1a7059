"""Exploring finds what breaks a promise, says with which seed, and can do it again."""

from __future__ import annotations

import itertools
import random
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any, Final

import pytest
import structlog

from jetmesh import Rehearsed, Service
from jetmesh.errors import UsageError
from jetmesh.protocol.steps import Applied, Input
from jetmesh.runtime.message.decisions import Decisions
from jetmesh.runtime.message.states.following import Outlet
from jetmesh.runtime.message.states.remembering import StateRunner
from jetmesh.runtime.message.storing import Storing
from jetmesh.runtime.message.verdicts import Verdicts
from jetmesh.testing import Story
from jetmesh.testing.simulation import Connection
from tests.unit.story.desk import (
    Account,
    FakeGateway,
    Gateway,
    Paid,
    Placed,
    Refused,
    TierReached,
    billing,
    counting,
    desk,
)

SEEDS: Final = 30
MOST: Final = 400
"""Of a fault that was planted one seed out of so many has to tell."""


def ordinary() -> Story:
    story = Story(billing, desk)
    story.given(*(Placed(f"o-{n}") for n in range(4)), Placed("o-1", amount=2000))
    return story


def found(story: Story, **how: Any) -> str:
    """What exploring says."""
    with pytest.raises(AssertionError) as told:
        story.explore(**{"seeds": MOST} | how)
    return str(told.value)


def test_what_holds_holds_in_every_order() -> None:
    def sums(story: Story) -> None:
        assert story.letters() == []
        assert story.retries() == []
        paid, refused = story.events(Paid), story.events(Refused)
        assert len(paid) + len(refused) == 4
        points = sum(each.amount for each in paid)
        assert story.state(Account, "c-1").points == points
        assert len(story.events(TierReached)) == points // 100

    ordinary().explore(seeds=SEEDS, check=sums)


def test_a_failure_names_its_seed_and_what_happened_and_comes_again() -> None:
    story = Story(counting())
    story.given(Placed("o-1"), Placed("o-2"))
    text = found(story)
    seed = re.search(r"With seed (\d+) this does not hold:", text)
    assert seed is not None
    assert f"Again: story.explore(seed={seed[1]})" in text
    assert "publish Placed(order_id='o-1'" in text
    assert "story-counting#1: STORY_ORDERS/story-counting-number arrives" in text
    again = found(story, seed=int(seed[1]))
    steps = text.partition("What happened")[2]
    assert again.partition("What happened")[2] == steps


def test_a_check_of_ones_own_fails_with_its_seed() -> None:
    def wrong(story: Story) -> None:
        assert story.state(Account, "c-1") is None, "somebody has points"

    assert "check: somebody has points" in found(ordinary(), check=wrong)


def test_each_seed_has_doubles_as_they_were_given() -> None:
    fake = FakeGateway([ValueError("once")])

    def once(story: Story) -> None:
        assert len(story.effects(Gateway)) > 1

    story = Story(billing, gateway=fake)
    story.given(Placed("o-1"))
    story.advance(5)
    story.explore(seeds=5, check=once)
    assert fake.charged == ["o-1"]


def test_a_double_that_cannot_be_copied_is_refused() -> None:
    class Unique(FakeGateway):
        def __deepcopy__(self, _: Any) -> Any:
            raise TypeError("there is one of it")

    story = Story(billing, gateway=Unique())
    story.given(Placed("o-1"))
    with pytest.raises(UsageError, match="cannot be copied"):
        story.explore(seeds=1)


def test_exploring_leaves_everything_else_as_it_was() -> None:
    before, logged = random.getstate(), structlog.get_config()
    ordinary().explore(seeds=2)
    assert random.getstate() == before
    assert structlog.get_config() == logged


# what is found


def test_a_handler_that_remembers_by_itself_is_found() -> None:
    story = Story(counting())
    story.given(Placed("o-1"))
    assert "story-counting.number gives two answers" in found(story)


def _has_only_by_name(applied: Applied, given: Input) -> bool:
    return given.token in applied.inputs.get(given.source, ())


@pytest.mark.parametrize("has", [lambda _, __: False, _has_only_by_name])
def test_a_state_that_takes_in_an_input_twice_is_found(
    has: Callable[[Applied, Input], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once what it knows by name is ignored, once the floor below which it knows everything."""
    monkeypatch.setattr(Applied, "has", has)
    assert re.search(r"states.story-desk.accounts.c-1 took in .* twice", found(ordinary()))


def test_a_state_that_loses_an_input_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StateRunner, "_run_inline", lambda self, each: self.handled(each))
    assert "story-desk.award never took in STORY_BILLS:1" in found(ordinary())


def test_an_output_of_a_state_that_is_lost_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Outlet, "store", lambda _, __, ___, done: done())
    assert "on story-tiers.reached.c-1 is stored 0 times" in found(ordinary())


def test_an_output_that_is_lost_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service("story-forgetful")

    @service.on(Placed)
    def forward(placed: Placed) -> TierReached:
        return TierReached(placed.customer_id, 1)

    story = Story(service)
    story.given(Placed("o-1"))
    monkeypatch.setattr(
        "jetmesh.runtime.message.publisher.Publisher.conclude",
        lambda self, delivered, *_: self._verdicts.acknowledge(delivered),
    )
    assert "story-forgetful.forward returned TierReached" in found(story)


def test_a_second_outcome_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that publishes without a guard."""

    def unguarded(self: Connection, subject: bytes, headers: bytes, *rest: Any) -> None:
        publish(self, subject, headers.replace(b"Nats-Expected-", b"Forgot-"), *rest)

    publish = Connection.publish
    story = Story(billing)
    story.given(Placed("o-1"), Placed("o-1", amount=2000))
    monkeypatch.setattr(Connection, "publish", unguarded)
    assert "o-1 has 2 outcomes of story-bills.*: STORY_BILLS:1" in found(story)


def test_an_effect_of_a_key_that_has_its_outcome_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: Any) -> bool:
        return False

    monkeypatch.setattr(Decisions, "is_settled", never)
    assert "story-billing.charge ran for STORY_ORDERS" in found(ordinary())


def test_an_effect_that_nobody_could_recognise_is_found() -> None:
    service, keys = Service("story-careless"), itertools.count()

    class Numbered(Gateway):
        async def charge(self, order_id: str, amount: int) -> bool:  # noqa: ARG002 - as declared
            return True

    @service.resource
    async def gateway() -> AsyncIterator[Numbered]:
        yield Numbered()

    @service.rehearsal
    def usual(_past: Rehearsed) -> Numbered:
        return Numbered()

    @service.on(Placed)
    async def charge(placed: Placed, gateway: Numbered) -> None:
        await gateway.charge(f"{placed.order_id}-{next(keys)}", placed.amount)

    story = Story(service)
    story.given(Placed("o-1"), Placed("o-2"))
    assert "story-careless.charge had two effects for STORY_ORDERS" in found(story)


def test_a_letter_that_is_written_twice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_id(self: Storing, letter: Any) -> None:
        subject, headers, payload = letter.message
        about = subject, headers.replace(b"Nats-Msg-Id", b"Other-Id"), payload
        store(self, replace(letter, message=about))

    store = Storing.store
    monkeypatch.setattr(Storing, "store", without_id)
    story = Story(billing, gateway=FakeGateway([ValueError("no")] * 10_000))
    story.given(Placed("o-1"), Placed("o-2"))
    assert re.search("has . letters on deadletters.story-billing.charge", found(story))


def test_what_has_no_end_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Verdicts, "acknowledge", lambda *_: None)
    assert "story-desk.award has no end of STORY_BILLS:1" in found(ordinary())


def test_a_seed_is_the_same_story_in_every_process() -> None:
    """Also where strings hash in another way."""
    code = (
        "import sys\n"
        "from tests.unit.story.test_explore import ordinary\n"
        "from jetmesh.testing.story import exploring\n"
        "told = []\n"
        "exploring.broken = lambda world, record: told.append(str(world.effects)) or ()\n"
        "kept, run = [], exploring.Play.run\n"
        "exploring.Play.run = lambda play: (kept.append(play), run(play))[1]\n"
        "ordinary().explore(seeds=4)\n"
        "print(*kept, *told, sep='\\n', file=sys.stderr)\n"
    )
    texts = set()
    for hashing in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": hashing},
            capture_output=True,
            text=True,
            check=True,
        )
        texts.add(done.stderr)
    assert len(texts) == 1
    assert len(texts.pop().splitlines()) > 200
