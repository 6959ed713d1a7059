"""The shop's doubles: they answer as the gateway and the mail server did, and reach nobody."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from msgspec import Struct
from msgspec.structs import replace

from jetmesh import Service
from jetmesh.declare import derive
from jetmesh.runtime.rehearsing.rehearsal import Rehearsal
from jetmesh.runtime.rehearsing.report import Report
from jetmesh.runtime.rehearsing.stored import Known
from jetmesh.testing import subject_of
from jetmesh.transport.stored import StoredMessage
from shop import notifications, payments
from shop.gateway import Charged, Refused
from shop.letters import about_payment
from shop.mail import message_id
from shop_contracts import (
    DeclineReason,
    NotificationSent,
    OrderValidated,
    PaymentCaptured,
    PaymentDeclined,
)
from tests.unit.shop.flow import START, validated

STORED_NS = int(START.timestamp()) * 1_000_000_000


def stored(event: Struct) -> StoredMessage:
    subject = subject_of(event)
    stream = subject.partition(".")[0].upper()
    return StoredMessage(stream, 1, subject, {}, msgspec.json.encode(event), STORED_NS)


async def rehearse(service: Service, settings: Any, event: Struct, *made: Struct) -> Report:
    (handler,) = (h for h in service.handlers if isinstance(event, h.input.type))
    outputs = [stored(each) for each in made]
    known = Known(stored(event), outputs, "made" if made else "nothing")
    return await Rehearsal(service, settings, derive([service])).compare(handler, [known])


def captured(order: OrderValidated) -> PaymentCaptured:
    return payments.captured(order, Charged(id="ch_1", created_at=START))


def declined(order: OrderValidated) -> PaymentDeclined:
    refused = Refused(code=DeclineReason.EXPIRED_CARD, created_at=START)
    return payments.declined(order, refused)


@pytest.mark.parametrize("outcome", [captured, declined])
async def test_a_payment_ends_as_it_did(outcome: Any) -> None:
    order = validated()
    settings = payments.PaymentsSettings()
    report = await rehearse(payments.service, settings, order, outcome(order))
    assert (report.same, report.groups) == (1, [])


async def test_a_build_that_asks_for_another_amount_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = payments.request_of
    monkeypatch.setattr(
        payments, "request_of", lambda order: replace(right(order), amount=Decimal(1))
    )
    order = validated()
    report = await rehearse(payments.service, payments.PaymentsSettings(), order, captured(order))
    assert [group.kind for group in report.groups] == ["letter:Reject"]


async def test_a_mail_is_sent_to_nobody_and_recorded_as_it_was() -> None:
    settings = notifications.NotificationsSettings(smtp_host="mail.example.test")
    payment = captured(validated())
    letter = about_payment(payment, settings.link(payment.purchase_id))
    name = message_id("p-1", settings.domain)
    mailed = notifications.mailed(NotificationSent, letter, START, name)
    withheld = notifications.untold(
        NotificationSent, letter, START, "This e-mail address had too many mails within an hour."
    )
    for then in (mailed, withheld):
        report = await rehearse(notifications.service, settings, payment, then)
        assert (report.same, report.groups) == (1, [])
