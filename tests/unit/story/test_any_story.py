"""Whatever happens to a small mesh, in any order: nothing is lost, and nothing counts twice."""

from __future__ import annotations

from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from jetmesh.testing import Story
from tests.examples import examples
from tests.unit.story.desk import (
    Account,
    Gateway,
    Paid,
    Placed,
    Refused,
    TierReached,
    billing,
    desk,
)

_ORDERS: Final = [f"o-{n}" for n in range(6)]
_CUSTOMERS: Final = ["c-1", "c-2"]
_services = st.sampled_from([billing, desk])


class AnyStory(RuleBasedStateMachine):
    """A decision with an effect, and a state that follows from it."""

    @initialize(replicas=st.integers(1, 3), seed=st.integers(0, 1000))
    def begin(self, replicas: int, seed: int) -> None:
        self.story = Story(billing, desk, replicas=replicas, seed=seed)
        self.story.reorder(seed)
        self.placed: list[Placed] = []

    @rule(
        orders=st.lists(st.sampled_from(_ORDERS), min_size=1, max_size=4),
        customer=st.sampled_from(_CUSTOMERS),
        amount=st.sampled_from([1, 60, 250, 2000]),
    )
    def publish(self, orders: list[str], customer: str, amount: int) -> None:
        several = [Placed(order, customer, amount) for order in orders]
        self.placed += several
        self.story.given(*several)

    @rule(service=_services, after=st.integers(0, 30))
    def crash(self, service: object, after: int) -> None:
        self.story.crash(service, after=after)  # type: ignore[arg-type] # one of two services

    @rule(service=_services)
    def lose_ack(self, service: object) -> None:
        self.story.lose_ack(service)  # type: ignore[arg-type] # as above

    @rule(seconds=st.sampled_from([0.5, 31, 7200]))
    def time_passes(self, seconds: float) -> None:
        self.story.advance(seconds)

    @rule(data=st.data())
    def redeliver(self, data: st.DataObject) -> None:
        stored = [*self.placed, *self.story.events(Paid)]
        if stored:
            self.story.redeliver(data.draw(st.sampled_from(stored)))

    @invariant()
    def no_key_has_two_outcomes(self) -> None:
        decided = [each.order_id for each in self._decided()]
        assert len(decided) == len(set(decided))

    def teardown(self) -> None:
        if not hasattr(self, "story"):
            return
        self.story.advance(600)
        story = self.story
        assert {each.order_id for each in self._decided()} == {p.order_id for p in self.placed}
        assert (story.letters(), story.retries(), story.problems()) == ([], [], [])
        for customer in _CUSTOMERS:
            paid = [each.amount for each in story.events(Paid) if each.customer_id == customer]
            account = story.state(Account, customer)
            assert (account.points if account else 0) == sum(paid)
        tiers = [(each.customer_id, each.tier) for each in story.events(TierReached)]
        assert len(tiers) == len(set(tiers))
        charged = {effect.arguments for effect in story.effects(Gateway)}
        assert charged <= {(each.order_id, each.amount) for each in self.placed}

    def _decided(self) -> list[Paid | Refused]:
        return [*self.story.events(Paid), *self.story.events(Refused)]


AnyStory.TestCase.settings = settings(
    max_examples=examples(25), stateful_step_count=15, deadline=None
)
TestAnyStory = AnyStory.TestCase
