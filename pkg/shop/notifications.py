"""Notifications: tell the customer how the purchase ended, in one mail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Final, Literal

import structlog
from aiosmtplib import SMTP
from msgspec import Meta

from jetmesh import Delivery, Duration, Policy, Rehearsed, Service
from shop.addresses import PATTERN, is_plausible
from shop.letters import Letter, about_payment, about_refusal, about_rejection
from shop.mail import compose, message_id
from shop.mailer import Mailer, Withheld
from shop.order_links import LinkSettings
from shop_contracts import (
    Channel,
    NotificationSent,
    OrderRejected,
    PaymentCaptured,
    PaymentDeclined,
)

log: Final = structlog.get_logger()


class NotificationsSettings(LinkSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which mail server takes our mails, and who sends them."""

    smtp_host: Annotated[str, Meta(description="The mail server.")] = "127.0.0.1"
    smtp_port: Annotated[int, Meta(ge=1, le=65535, description="Its port.")] = 1025
    smtp_security: Annotated[
        Literal["none", "starttls", "tls"],
        Meta(
            description="How the connection is encrypted; tls: from the start. "
            "none takes no password."
        ),
    ] = "starttls"
    smtp_user: Annotated[str, Meta(description="Our user at the mail server; empty: no login.")] = (
        ""
    )
    smtp_password: Annotated[
        str, Meta(description="Our password there.", extra={"sensitive": True})
    ] = ""
    hourly: Annotated[
        int,
        Meta(
            ge=0,
            le=1000,
            description="The most mails to one address in an hour, from each pod; 0: any number. "
            "What is more is not sent, and recorded so.",
        ),
    ] = 20
    connections: Annotated[int, Meta(ge=1, description="The most connections at once.")] = 4
    sender: Annotated[
        str,
        Meta(
            description="Our address; what follows its @ also ends each Message-ID.",
            extra_json_schema={"pattern": PATTERN, "maxLength": 254},  # for the chart
        ),
    ] = "shop@example.test"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_plausible(self.sender):
            raise ValueError("sender must be an e-mail address")
        if self.smtp_security == "none" and self.smtp_password:
            raise ValueError(
                "smtp_password would be sent in clear: smtp_security must be starttls or tls"
            )

    @property
    def domain(self) -> str:
        return self.sender.rpartition("@")[2]


service = Service(
    "notifications",
    version="1.0.0",
    settings=NotificationsSettings,
    description="Mails the customer how the purchase ended.",
)

POLICY: Final = Policy(
    attempts=12,  # with these delays a mail server may be away for some minutes
    backoff=Duration(0.5),
    backoff_cap=Duration(60),
    timeout=Duration(30),
    ack_wait=Duration(60),
    concurrency=16,
)

_REPLY_SECONDS: Final = 10.0


@service.resource
async def mailer(settings: NotificationsSettings) -> AsyncIterator[Mailer]:
    """Connections to the mail server, open as long as the service runs."""

    def connect() -> SMTP:
        return SMTP(
            hostname=settings.smtp_host,
            port=settings.smtp_port,
            username=settings.smtp_user or None,
            password=settings.smtp_password or None,
            use_tls=settings.smtp_security == "tls",
            start_tls=settings.smtp_security == "starttls",
            timeout=_REPLY_SECONDS,
            # Else it is asked of DNS, which blocks the event loop.
            local_hostname=settings.domain,
        )

    mailer = Mailer(connect, connections=settings.connections, hourly=settings.hourly)
    try:
        yield mailer
    finally:
        await mailer.close()


class Unsent(Mailer):
    """It sends nothing, and withholds what was withheld then."""

    def __init__(self, past: Rehearsed) -> None:
        self._then = past.outcome(NotificationSent)

    async def send(self, _sender: str, _recipient: str, _mail: bytes) -> None:
        if self._then is not None and self._then.channel is Channel.NONE:
            raise Withheld


@service.rehearsal
def unsent(past: Rehearsed) -> Mailer:
    """The mail server of a rehearsal."""
    return Unsent(past)


@service.on(OrderRejected, policy=POLICY)
async def tell_rejected(
    order: OrderRejected, delivery: Delivery, mailer: Mailer, settings: NotificationsSettings
) -> NotificationSent:
    """Say why the purchase was not accepted, and what to do."""
    return await tell(
        about_rejection(order, settings.link(order.purchase_id)),
        delivery.stored_at,
        mailer,
        settings,
    )


@service.on(PaymentCaptured, policy=POLICY)
async def tell_captured(
    payment: PaymentCaptured, delivery: Delivery, mailer: Mailer, settings: NotificationsSettings
) -> NotificationSent:
    """Say that the order is paid."""
    return await tell(
        about_payment(payment, settings.link(payment.purchase_id)),
        delivery.stored_at,
        mailer,
        settings,
    )


@service.on(PaymentDeclined, policy=POLICY)
async def tell_declined(
    payment: PaymentDeclined, delivery: Delivery, mailer: Mailer, settings: NotificationsSettings
) -> NotificationSent:
    """Say why the payment was refused, and what to do."""
    return await tell(
        about_refusal(payment, settings.link(payment.purchase_id)),
        delivery.stored_at,
        mailer,
        settings,
    )


async def tell(
    letter: Letter, sent_at: datetime, mailer: Mailer, settings: NotificationsSettings
) -> NotificationSent:
    """Mail the letter if its customer has a plausible address, else record that nobody was told.

    An implausible address is no failure to repair: it may be the very reason of a rejection.
    Whoever may publish chooses who is mailed: what is too much for one person is recorded, not
    sent.
    """
    recipient = letter.customer.email
    if not is_plausible(recipient):
        return untold(letter, sent_at, "The customer's e-mail address cannot receive mail.")
    mail = compose(letter, sender=settings.sender, sent_at=sent_at)
    try:
        await mailer.send(settings.sender, recipient, mail)
    except Withheld:
        log.warning("a mail was withheld", purchase_id=letter.purchase_id, hourly=settings.hourly)
        return untold(letter, sent_at, "This e-mail address had too many mails within an hour.")
    return mailed(letter, sent_at, message_id(letter.purchase_id, settings.domain))


def mailed(letter: Letter, sent_at: datetime, message_id: str) -> NotificationSent:
    """The event for a mail that the mail server took."""
    return NotificationSent(
        purchase_id=letter.purchase_id,
        about=letter.about,
        channel=Channel.EMAIL,
        recipient=letter.customer.email,
        subject=letter.subject,
        message_id=message_id,
        sent_at=sent_at,
    )


def untold(letter: Letter, sent_at: datetime, reason: str) -> NotificationSent:
    """The event for a customer who gets no mail."""
    return NotificationSent(
        purchase_id=letter.purchase_id,
        about=letter.about,
        channel=Channel.NONE,
        recipient=letter.customer.email,
        subject=letter.subject,
        reason=reason,
        sent_at=sent_at,
    )
