"""What the customer was told: each fact of a purchase once, by one mail."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from jetmesh import event
from shop_contracts.codes import Code
from shop_contracts.purchases import EmailAddress, PurchaseId


class Outcome(Code):
    """What happened to a purchase that its customer is told.

    rejected: it never became an order.
    captured: it was paid.
    declined: its payment was refused.
    expired: it was not paid in time.
    refunded: what was paid too late went back.
    other: an outcome newer than the reader of this contract.
    """

    REJECTED = "rejected"
    CAPTURED = "captured"
    DECLINED = "declined"
    EXPIRED = "expired"
    REFUNDED = "refunded"
    OTHER = "other"


class Channel(Code):
    """How the customer was told.

    email: by a mail that the mail server accepted.
    none: not at all, because no mail can reach the address; `reason` says why.
    other: a channel newer than the reader of this contract.
    """

    EMAIL = "email"
    NONE = "none"
    OTHER = "other"


class Notice(Struct, frozen=True, kw_only=True):
    """What every notice says; which fact it is about, its subject does."""

    purchase_id: PurchaseId
    channel: Annotated[Channel, Meta(description="How the customer was told.")]
    recipient: EmailAddress
    subject: Annotated[
        str,
        Meta(description="The subject line.", examples=["Your order p-1 is paid"]),
    ]
    message_id: Annotated[
        str,
        Meta(
            description=(
                "The mail's Message-ID, always the same for a fact of a purchase, so that a mail "
                "sent twice is recognised; empty when there is no mail."
            ),
            examples=["<p-1@shop.example.test>"],
        ),
    ] = ""
    reason: Annotated[
        str,
        Meta(description="Why there is no mail, one sentence; empty when there is one."),
    ] = ""
    sent_at: Annotated[
        datetime,
        Meta(
            tz=True,
            description="The date on the mail: when the fact was stored, so the same if resent.",
        ),
    ]


@event("notifications.sent", key="purchase_id", decision="notifications.*")
class NotificationSent(Notice, frozen=True, kw_only=True):
    """The customer was told how the purchase ended, or cannot be told."""

    about: Annotated[Outcome, Meta(description="Which outcome the customer was told of.")]


@event("notices.expired", key="purchase_id", decision="notices.expired")
class ExpiryTold(Notice, frozen=True, kw_only=True):
    """The customer was told that the order expired, or cannot be told."""


@event("notices.refunded", key="purchase_id", decision="notices.refunded")
class RefundTold(Notice, frozen=True, kw_only=True):
    """The customer was told that the money went back, or cannot be told."""
