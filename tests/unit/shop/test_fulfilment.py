"""An order is paid in time or expires; what is paid later goes back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from jetmesh import Cancel, Duration, Later, derive
from jetmesh.declare import spec_of
from jetmesh.testing import delivery
from shop.fulfilment import FulfilmentSettings, begin, close, decline, expire, pay
from shop.system import system
from shop_contracts import Fulfilment, PaymentOverdue, RefundWanted
from tests.unit.shop import flow

OVERDUE = flow.overdue()


def test_an_order_waits_for_its_payment_as_long_as_the_settings_say() -> None:
    for settings, after in (
        (FulfilmentSettings(), timedelta(minutes=15)),
        (FulfilmentSettings(pay_within=Duration(2)), timedelta(seconds=2)),
    ):
        about = delivery(flow.validated(), now=flow.START)
        order, later = begin(flow.validated(), None, about, settings)
        until = flow.START + after
        assert order == replace(flow.fulfilment(step="awaiting_payment"), pay_until=until)
        assert later == Later(OVERDUE, at=until)


@pytest.mark.parametrize("known", [None, flow.fulfilment(step="awaiting_payment")])
def test_what_is_paid_or_declined_in_time_ends_the_wait(known: Fulfilment | None) -> None:
    cancelled: Any = Cancel(PaymentOverdue, "p-1")
    assert pay(flow.captured(), known) == (flow.fulfilment(step="paid"), cancelled)
    assert decline(flow.declined(), known) == (flow.fulfilment(step="declined"), cancelled)


def test_what_is_not_paid_in_time_expires_and_late_money_goes_back() -> None:
    order, told = expire(OVERDUE, flow.fulfilment(step="awaiting_payment"), delivery(OVERDUE))
    assert order == flow.fulfilment(step="expired")
    assert (told.purchase_id, told.customer, told.total) == ("p-1", order.customer, order.total)
    refunding, wanted = pay(flow.captured(), order)
    assert refunding == flow.fulfilment(step="refunding")
    assert wanted == flow.wanted_back()
    assert isinstance(wanted, RefundWanted)
    assert close(flow.refunded(), refunding) == flow.fulfilment(step="refunded")


def test_the_process_is_sound_as_the_whole_shop_declares_it() -> None:
    derive(system.load())
    spec: Any = spec_of(Fulfilment)
    assert spec.process.ends == ("paid", "declined", "expired")
    assert spec.process.undone == ("refunded",)
