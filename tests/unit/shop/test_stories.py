"""A story of each service of the shop, and all of them together in any order."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import pytest

from jetmesh import Unavailable
from jetmesh.testing import Story
from shop import business_dashboard, customer_dashboard, notifications, order_validation, payments
from shop.business_board import Board
from shop.customer_orders import Orders
from shop.gateway import Charged, ChargeRequest, Gateway, Refused
from shop.mailer import Mailer
from shop_contracts import (
    Channel,
    DeclineReason,
    NotificationSent,
    OrderRejected,
    OrderValidated,
    Outcome,
    PaymentCaptured,
    PaymentDeclined,
    RejectionCode,
)
from tests.unit.shop import flow

SHOP: Final = (
    order_validation.service,
    payments.service,
    notifications.service,
    business_dashboard.service,
    customer_dashboard.service,
)


def test_a_sound_purchase_is_an_order_and_another_one_is_told_why_not() -> None:
    story = Story(order_validation.service)
    story.given(flow.created("p-1"), flow.created("p-2", total=Decimal("8.99")))
    assert story.outcome(OrderValidated, "p-1")
    rejected = story.outcome(OrderRejected, "p-2")
    assert rejected is not None
    assert [reason.code for reason in rejected.reasons] == [RejectionCode.TOTAL_MISMATCH]


def test_a_purchase_that_is_pressed_twice_is_one_order() -> None:
    story = Story(order_validation.service, replicas=2)
    story.given(flow.created("p-1"), flow.created("p-1", total=Decimal(7)))
    assert len(story.events(OrderValidated) + story.events(OrderRejected)) == 1


class AtFirstAway(Gateway):
    """It cannot be reached for the first two tries, and refuses cards afterwards."""

    def __init__(self) -> None:
        self.tries = 0

    async def charge(self, _request: ChargeRequest, _key: str) -> Charged | Refused:
        self.tries += 1
        if self.tries <= 2:
            raise Unavailable("The gateway is away.")
        return Refused(code=DeclineReason.EXPIRED_CARD, created_at=flow.START)


def test_an_order_is_charged_when_the_gateway_is_back() -> None:
    story = Story(payments.service, gateway=AtFirstAway())
    story.given(flow.validated("p-1"))
    assert any("The gateway is away" in problem for problem in story.problems())
    story.advance(30)
    assert story.problems() == []
    declined = story.outcome(PaymentDeclined, "p-1")
    assert declined is not None
    assert declined.reason is DeclineReason.EXPIRED_CARD


@pytest.mark.parametrize("after", range(0, 16, 2))
def test_an_order_is_charged_with_one_key_whenever_the_process_dies(after: int) -> None:
    story = Story(payments.service)
    story.crash(payments.service, after=after)
    story.given(flow.validated("p-1"))
    story.advance(60)
    assert len(story.events(PaymentCaptured)) == 1
    keys = {effect.arguments[1] for effect in story.effects(Gateway)}
    assert keys == {payments.idempotency_key("p-1")}


def test_a_customer_is_mailed_once_however_it_ended() -> None:
    story = Story(notifications.service)
    story.given(flow.captured("p-1"), flow.declined("p-2"))
    story.given(flow.rejected("p-3", RejectionCode.TOTAL_MISMATCH))
    story.redeliver(flow.captured("p-1"))
    story.advance(60)
    told = {each.purchase_id: each for each in story.events(NotificationSent)}
    assert {key: each.about for key, each in told.items()} == {
        "p-1": Outcome.CAPTURED,
        "p-2": Outcome.DECLINED,
        "p-3": Outcome.REJECTED,
    }
    assert {each.channel for each in told.values()} == {Channel.EMAIL}
    assert len(story.effects(Mailer)) == 3


def test_the_board_counts_what_became_of_purchases() -> None:
    story = Story(*SHOP)
    story.given(flow.created("p-1"), flow.created("p-2", total=Decimal(7)))
    counted = story.read_model(Board).snapshot()["purchases"]
    assert (counted["captured"], counted["rejected"], counted["told"]) == (1, 1, 2)


def test_the_customers_page_knows_where_its_events_are() -> None:
    story = Story(*SHOP)
    story.given(flow.created("p-1"))
    assert story.read_model(Orders).places("p-1") == {
        "PURCHASES": [1],
        "ORDERS": [1],
        "PAYMENTS": [1],
        "NOTIFICATIONS": [1],
    }


def test_whatever_happens_to_the_shop_each_purchase_ends_once_and_is_told() -> None:
    def ended(story: Story) -> None:
        assert (story.letters(), story.retries(), story.problems()) == ([], [], [])
        decided = story.events(OrderValidated) + story.events(OrderRejected)
        assert sorted(each.purchase_id for each in decided) == ["p-1", "p-2", "p-3"]
        told = [each.purchase_id for each in story.events(NotificationSent)]
        assert sorted(told) == ["p-1", "p-2", "p-3"]
        assert len(story.events(PaymentCaptured)) == len(story.events(OrderValidated))
        assert story.read_model(Board).snapshot()["purchases"]["told"] == 3

    story = Story(*SHOP)
    story.given(flow.created("p-1"), flow.created("p-2"), flow.created("p-3", total=Decimal(7)))
    story.given(flow.created("p-1", total=Decimal(7)))
    story.explore(seeds=30, check=ended)
