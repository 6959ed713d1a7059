"""One mail for each outcome, or a record that no mail can reach the customer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from aiosmtplib import (
    SMTPAuthenticationError,
    SMTPConnectError,
    SMTPDataError,
    SMTPException,
    SMTPRecipientRefused,
    SMTPRecipientsRefused,
    SMTPSenderRefused,
    SMTPServerDisconnected,
)
from msgspec import Struct
from msgspec.structs import replace

from jetmesh import Reject, Retry, Unavailable
from jetmesh.testing import aoutputs, delivery
from shop.mailer import Mailer, verdict_on
from shop.notifications import (
    NotificationsSettings,
    service,
    tell_captured,
    tell_declined,
    tell_rejected,
)
from shop_contracts import Channel, Customer, NotificationSent, Outcome, RejectionCode
from tests.unit.shop import flow


class Recorder(Mailer):
    """Keeps mails instead of sending them."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, bytes]] = []

    async def send(self, sender: str, recipient: str, mail: bytes) -> None:
        self.sent.append((sender, recipient, mail))


OUTCOMES: list[tuple[Callable[..., Awaitable[Any]], Struct, Outcome]] = [
    (tell_rejected, flow.rejected("p-1", RejectionCode.NO_ITEMS), Outcome.REJECTED),
    (tell_captured, flow.captured(), Outcome.CAPTURED),
    (tell_declined, flow.declined(), Outcome.DECLINED),
]


@pytest.mark.parametrize(("handler", "event", "about"), OUTCOMES)
async def test_every_outcome_is_told_by_one_mail(
    handler: Callable[..., Awaitable[Any]], event: Struct, about: Outcome
) -> None:
    mailer = Recorder()
    (told,) = await aoutputs(service, handler, event, mailer=mailer)
    ((sender, recipient, mail),) = mailer.sent
    assert (sender, recipient) == ("shop@example.test", "customer@example.test")
    assert told == NotificationSent(
        purchase_id="p-1",
        about=about,
        channel=Channel.EMAIL,
        recipient=recipient,
        subject=told.subject,
        message_id="<purchase.p-1@example.test>",
        sent_at=delivery(event).stored_at,
    )
    assert told.message_id.encode() in mail
    assert told.subject.encode() in mail


@pytest.mark.parametrize(("handler", "event", "about"), OUTCOMES)
async def test_a_customer_whom_no_mail_can_reach_is_recorded_as_not_told(
    handler: Callable[..., Awaitable[Any]], event: Any, about: Outcome
) -> None:
    mailer = Recorder()
    nobody = Customer(id="c-1", name="Sample Customer", email="nowhere\r\nRCPT TO:<x@example.test>")
    (told,) = await aoutputs(service, handler, replace(event, customer=nobody), mailer=mailer)
    assert mailer.sent == []
    assert (told.about, told.channel, told.message_id) == (about, Channel.NONE, "")
    assert told.reason == "The customer's e-mail address cannot receive mail."


ADDRESS = "customer@example.test"


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (SMTPRecipientsRefused([SMTPRecipientRefused(550, "no", ADDRESS)]), Reject),
        (SMTPRecipientsRefused([SMTPRecipientRefused(451, "later", ADDRESS)]), Retry),
        (SMTPRecipientsRefused([]), Unavailable),
        (SMTPDataError(554, f"spam for {ADDRESS}"), Reject),
        (SMTPDataError(452, "disk full"), Retry),
        (SMTPSenderRefused(553, "not you", "shop@example.test"), Unavailable),
        (SMTPAuthenticationError(535, "wrong password"), Unavailable),
        (SMTPConnectError("refused"), Unavailable),
        (SMTPServerDisconnected("gone"), Unavailable),
        (ConnectionResetError("gone"), Unavailable),
    ],
)
def test_only_what_concerns_this_mail_is_final(
    error: SMTPException | OSError, verdict: type[Exception]
) -> None:
    made = verdict_on(error)
    assert type(made) is verdict
    assert ADDRESS not in str(made)


def test_a_sender_that_is_no_address_is_refused_when_settings_are_read() -> None:
    with pytest.raises(msgspec.ValidationError, match="sender must be an e-mail address"):
        msgspec.convert({"sender": "shop\r\n"}, NotificationsSettings)
