"""Notifications: tell the customer each fact of a purchase, by one mail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeVar

import structlog
from aiosmtplib import SMTP
from msgspec import Meta

from jetmesh import Delivery, Duration, Policy, Rehearsed, Service
from shop.addresses import PATTERN, is_plausible
from shop.letters import (
    Letter,
    about_expiry,
    about_payment,
    about_refund,
    about_refusal,
    about_rejection,
)
from shop.mail import compose, message_id_of
from shop.mailer import Mailer, Withheld
from shop.order_links import LinkSettings
from shop_contracts import (
    Channel,
    ExpiryTold,
    NotificationSent,
    OrderExpired,
    OrderRejected,
    PaymentCaptured,
    PaymentDeclined,
    PaymentRefunded,
    RefundTold,
)
from shop_contracts.notifications import Notice

_N = TypeVar("_N", bound=Notice)
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
    description="Mails the customer each fact of a purchase, once.",
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
        self._then: Notice | None = (
            past.outcome(NotificationSent) or past.outcome(ExpiryTold) or past.outcome(RefundTold)
        )

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
    letter = about_rejection(order, settings.link(order.purchase_id))
    return await tell(NotificationSent, letter, delivery.stored_at, mailer, settings)


@service.on(PaymentCaptured, policy=POLICY)
async def tell_captured(
    payment: PaymentCaptured, delivery: Delivery, mailer: Mailer, settings: NotificationsSettings
) -> NotificationSent:
    """Say that the order is paid."""
    letter = about_payment(payment, settings.link(payment.purchase_id))
    return await tell(NotificationSent, letter, delivery.stored_at, mailer, settings)


@service.on(PaymentDeclined, policy=POLICY)
async def tell_declined(
    payment: PaymentDeclined, delivery: Delivery, mailer: Mailer, settings: NotificationsSettings
) -> NotificationSent:
    """Say why the payment was refused, and what to do."""
    letter = about_refusal(payment, settings.link(payment.purchase_id))
    return await tell(NotificationSent, letter, delivery.stored_at, mailer, settings)


@service.on(OrderExpired, policy=POLICY)
async def tell_expired(
    order: OrderExpired, delivery: Delivery, mailer: Mailer, settings: NotificationsSettings
) -> ExpiryTold:
    """Say that the order was not paid in time."""
    letter = about_expiry(order, settings.link(order.purchase_id))
    return await tell(ExpiryTold, letter, delivery.stored_at, mailer, settings)


@service.on(PaymentRefunded, policy=POLICY)
async def tell_refunded(
    refund: PaymentRefunded, delivery: Delivery, mailer: Mailer, settings: NotificationsSettings
) -> RefundTold:
    """Say that the money went back."""
    letter = about_refund(refund, settings.link(refund.purchase_id))
    return await tell(RefundTold, letter, delivery.stored_at, mailer, settings)


async def tell(
    kind: type[_N],
    letter: Letter,
    sent_at: datetime,
    mailer: Mailer,
    settings: NotificationsSettings,
) -> _N:
    """Mail the letter if its customer has a plausible address, else record that nobody was told.

    An implausible address is no failure to repair: it may be the very reason of a rejection.
    Whoever may publish chooses who is mailed: what is too much for one person is recorded, not
    sent.
    """
    recipient = letter.customer.email
    if not is_plausible(recipient):
        return untold(kind, letter, sent_at, "The customer's e-mail address cannot receive mail.")
    mail = compose(letter, sender=settings.sender, sent_at=sent_at)
    try:
        await mailer.send(settings.sender, recipient, mail)
    except Withheld:
        log.warning("a mail was withheld", purchase_id=letter.purchase_id, hourly=settings.hourly)
        why = "This e-mail address had too many mails within an hour."
        return untold(kind, letter, sent_at, why)
    return mailed(kind, letter, sent_at, message_id_of(letter, settings.domain))


def mailed(kind: type[_N], letter: Letter, sent_at: datetime, message_id: str) -> _N:
    """The event for a mail that the mail server took."""
    return _notice(kind, letter, sent_at, channel=Channel.EMAIL, message_id=message_id)


def untold(kind: type[_N], letter: Letter, sent_at: datetime, reason: str) -> _N:
    """The event for a customer who gets no mail."""
    return _notice(kind, letter, sent_at, channel=Channel.NONE, reason=reason)


def _notice(kind: type[_N], letter: Letter, sent_at: datetime, **more: Any) -> _N:
    if issubclass(kind, NotificationSent):
        more["about"] = letter.about
    return kind(
        purchase_id=letter.purchase_id,
        recipient=letter.customer.email,
        subject=letter.subject,
        sent_at=sent_at,
        **more,
    )
