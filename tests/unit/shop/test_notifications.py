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
    tell_expired,
    tell_refunded,
    tell_rejected,
)
from shop_contracts import (
    Channel,
    Customer,
    ExpiryTold,
    NotificationSent,
    Outcome,
    RefundTold,
    RejectionCode,
)
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


@pytest.mark.parametrize(
    ("handler", "event", "kind", "name"),
    [
        (tell_expired, flow.expired(), ExpiryTold, "expired"),
        (tell_refunded, flow.refunded(), RefundTold, "refunded"),
    ],
)
async def test_every_other_fact_is_told_by_a_mail_of_its_own(
    handler: Callable[..., Awaitable[Any]], event: Struct, kind: type[Struct], name: str
) -> None:
    mailer = Recorder()
    told: Any
    (told,) = await aoutputs(service, handler, event, mailer=mailer)
    ((_, recipient, mail),) = mailer.sent
    assert type(told).__name__ == kind.__name__
    assert (told.recipient, told.channel) == (recipient, Channel.EMAIL)
    assert told.message_id == f"<purchase.{name}.p-1@example.test>"
    assert f"Message-ID: {told.message_id}".encode() in mail
    assert b"9.00 EUR" in mail


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


class Server:
    """Takes every mail, or cannot be reached."""

    is_connected = True

    def __init__(self, *, away: bool = False) -> None:
        self.took: list[str] = []
        self._away = away

    def connected(self) -> Any:
        return self

    async def connect(self) -> None:
        if self._away:
            raise ConnectionRefusedError

    async def sendmail(self, _sender: str, recipients: list[str], _mail: bytes) -> None:
        self.took += recipients


async def test_whoever_publishes_cannot_make_the_shop_flood_a_person() -> None:
    server, settings = Server(), NotificationsSettings(hourly=3)
    mailer = Mailer(server.connected, connections=1, hourly=settings.hourly)
    for number in range(5):
        event: Any = replace(flow.captured(), purchase_id=f"p-{number}")
        if number % 2:
            shouted = Customer(id="c", name="N", email=flow.CUSTOMER.email.upper())
            event = replace(event, customer=shouted)
        (told,) = await aoutputs(service, tell_captured, event, mailer=mailer, settings=settings)
    assert len(server.took) == 3
    assert (told.channel, told.message_id) == (Channel.NONE, "")
    assert "too many mails" in told.reason
    somebody = Customer(id="c-2", name="Somebody Else", email="else@example.test")
    await aoutputs(
        service,
        tell_captured,
        replace(flow.captured(), customer=somebody),
        mailer=mailer,
        settings=settings,
    )
    assert server.took[-1] == "else@example.test", "others are still told"


async def test_a_mail_that_was_not_taken_does_not_count() -> None:
    server = Server(away=True)
    mailer = Mailer(server.connected, connections=1, hourly=1)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await mailer.send("shop@example.test", ADDRESS, b"")


def test_a_password_is_never_sent_in_clear() -> None:
    assert NotificationsSettings().smtp_security == "starttls"
    given = {"smtp_security": "none", "smtp_password": "word"}
    with pytest.raises(msgspec.ValidationError, match="sent in clear"):
        msgspec.convert(given, NotificationsSettings)
    tls = msgspec.convert(given | {"smtp_security": "tls"}, NotificationsSettings)
    assert tls.smtp_password == "word"  # noqa: S105 - no real one
