"""Stories of what the shop remembers: points of customers, and orders paid in time or not."""

from __future__ import annotations

from typing import Final

from jetmesh.testing import Story
from shop import fulfilment, loyalty, notifications, payments
from shop.gateway import Gateway
from shop.mailer import Mailer
from shop_contracts import (
    Account,
    ExpiryTold,
    Fulfilment,
    OrderExpired,
    PaymentRefunded,
    RefundTold,
    RefundWanted,
    Tier,
    TierReached,
)
from tests.unit.shop import flow

MINUTES: Final = 60


def step(story: Story, key: str = "p-1") -> str:
    found = story.state(Fulfilment, key)
    assert isinstance(found, Fulfilment)
    return found.step


def test_points_of_all_payments_add_up_and_a_tier_is_told_once() -> None:
    story = Story(loyalty.service, replicas=2)
    story.given(*(flow.captured(f"p-{n}", amount="60.90") for n in range(3)))
    story.redeliver(flow.captured("p-0", amount="60.90"))
    account = story.state(Account, flow.CUSTOMER.account)
    assert account is not None
    assert (account.points, account.tier) == (180, Tier.SILVER)
    assert [each.tier for each in story.events(TierReached)] == [Tier.SILVER]


def test_whatever_happens_to_loyalty_each_payment_counts_once() -> None:
    def ended(story: Story) -> None:
        account = story.state(Account, flow.CUSTOMER.account)
        assert account is not None
        assert account.points == 5 * 60
        assert [each.tier for each in story.events(TierReached)] == [Tier.SILVER]

    story = Story(loyalty.service)
    story.given(*(flow.captured(f"p-{n}", amount="60.00") for n in range(5)))
    story.explore(seeds=30, check=ended)


def test_an_order_that_is_paid_in_time_never_expires() -> None:
    story = Story(fulfilment.service)
    story.given(flow.validated())
    assert step(story) == "awaiting_payment"
    story.advance(14 * MINUTES)
    story.given(flow.captured())
    story.advance(60 * MINUTES)
    assert (step(story), story.events(OrderExpired)) == ("paid", [])


def test_a_payment_may_be_known_before_its_order() -> None:
    story = Story(fulfilment.service)
    story.given(flow.captured())
    story.given(flow.validated())
    story.advance(60 * MINUTES)
    assert (step(story), story.events(OrderExpired)) == ("paid", [])


def test_an_order_that_is_declined_ends_and_does_not_expire() -> None:
    story = Story(fulfilment.service)
    story.given(flow.validated())
    story.given(flow.declined())
    story.advance(60 * MINUTES)
    assert (step(story), story.events(OrderExpired)) == ("declined", [])


def test_what_is_paid_late_is_given_back_and_each_fact_is_told_once() -> None:
    story = Story(fulfilment.service, notifications.service)
    story.given(flow.validated())
    story.advance(16 * MINUTES)
    assert [each.purchase_id for each in story.events(OrderExpired)] == ["p-1"]
    assert len(story.events(ExpiryTold)) == 1
    story.given(flow.captured())
    assert (step(story), len(story.events(RefundWanted))) == ("refunding", 1)
    story.given(flow.refunded())
    assert (step(story), len(story.events(RefundTold))) == ("refunded", 1)
    story.advance(60 * MINUTES)
    assert len(story.effects(Mailer)) == 3  # that it expired, that it was paid, that this went back


def test_money_is_given_back_with_the_key_of_its_charge() -> None:
    story = Story(payments.service)
    story.given(flow.wanted_back())
    story.redeliver(flow.wanted_back())
    assert len(story.events(PaymentRefunded)) == 1
    (effect,) = {(each.name, each.arguments) for each in story.effects(Gateway)}
    assert effect == ("refund", (payments.idempotency_key("p-1"),))


def test_whatever_happens_an_order_is_paid_or_its_money_goes_back() -> None:
    def ended(story: Story) -> None:
        late = len(story.events(OrderExpired))
        assert len(story.events(RefundWanted)) == late <= 1
        assert step(story) == ("refunding" if late else "paid")

    story = Story(fulfilment.service)
    story.given(flow.validated(), flow.captured())
    story.explore(seeds=50, check=ended)
