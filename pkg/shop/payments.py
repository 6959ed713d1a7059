"""Payments: charge a validated order, once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Final
from uuid import UUID, uuid5

from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from msgspec import Meta, Struct

from jetmesh import Delivery, Duration, Policy, Rehearsed, Reject, Service
from shop.gateway import Charged, ChargeRequest, Gateway, Refused
from shop_contracts import (
    DeclineReason,
    OrderValidated,
    PaymentCaptured,
    PaymentDeclined,
    PaymentRefunded,
    RefundWanted,
)


class PaymentsSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the payment gateway is."""

    gateway_url: Annotated[
        str, Meta(pattern=r"^https?://[^\s]+$", description="The gateway's base URL.")
    ] = "http://127.0.0.1:8090"
    gateway_key: Annotated[
        str,
        Meta(
            description="Our key for the gateway, sent as a bearer token; empty: no key is sent.",
            extra={"sensitive": True},
        ),
    ] = ""
    connections: Annotated[int, Meta(ge=1, description="The most requests at once.")] = 64


service = Service(
    "payments",
    version="1.0.0",
    settings=PaymentsSettings,
    description="Charges validated orders through the payment gateway, and gives back.",
)

POLICY: Final = Policy(
    attempts=10,  # a gateway may be away for a minute
    backoff=Duration(0.2),
    backoff_cap=Duration(10),
    timeout=Duration(10),
    ack_wait=Duration(30),
    concurrency=64,
)

_REQUEST_SECONDS: Final = 8.0  # below the policy's timeout, so that we say what was slow
_IDLE_SECONDS: Final = 4.0  # many servers end an idle connection after 5 s: be the first

_KEYS: Final = UUID("8a6fd1b0-9c9e-5c07-8a0e-5d1f3f2f6c11")
"""Where idempotency keys come from; another value would charge pending orders twice."""

_MESSAGES: Final = {
    DeclineReason.INSUFFICIENT_FUNDS: "The account does not cover the amount.",
    DeclineReason.EXPIRED_CARD: "The card has expired.",
    DeclineReason.UNKNOWN_TOKEN: "The means of payment is not known to the payment service.",
    DeclineReason.REFUSED: "The bank refused the payment without saying why.",
    DeclineReason.OTHER: "The payment service refused the payment.",
}
_RETRYABLE: Final = frozenset({DeclineReason.INSUFFICIENT_FUNDS, DeclineReason.REFUSED})


@service.resource
async def gateway(settings: PaymentsSettings) -> AsyncIterator[Gateway]:
    """A client with a pool of connections, open as long as the service runs."""
    async with ClientSession(
        settings.gateway_url.rstrip("/") + "/",  # so that a path of the base URL stays in front
        headers={"authorization": f"Bearer {settings.gateway_key}"} if settings.gateway_key else {},
        timeout=ClientTimeout(total=_REQUEST_SECONDS),
        connector=TCPConnector(limit=settings.connections, keepalive_timeout=_IDLE_SECONDS),
        cookie_jar=DummyCookieJar(),  # each request stands for itself
        # Money goes where the settings say, not where a HTTP_PROXY of the shell leads.
        trust_env=False,
    ) as session:
        yield Gateway(session)


class Remembered(Gateway):
    """It answers what the gateway answered then; what was never asked is charged."""

    def __init__(self, past: Rehearsed) -> None:
        self._past = past

    async def charge(self, request: ChargeRequest, _idempotency_key: str) -> Charged | Refused:
        if refused := self._past.outcome(PaymentDeclined):
            return Refused(code=refused.reason, created_at=refused.declined_at)
        then = self._past.outcome(PaymentCaptured)
        if then is None:
            return Charged(id="rehearsed", created_at=self._past.stored_at)
        if (request.amount, request.currency) != (then.amount, then.currency):
            raise Reject("The gateway is asked for another amount than it charged.")
        return Charged(id=then.reference, created_at=then.captured_at)

    async def refund(self, _idempotency_key: str) -> None:
        """It was given back then, or was not: nothing moves now."""


@service.rehearsal
def remembered(past: Rehearsed) -> Gateway:
    """The gateway of a rehearsal."""
    return Remembered(past)


@service.on(OrderValidated, policy=POLICY)
async def charge(order: OrderValidated, gateway: Gateway) -> PaymentCaptured | PaymentDeclined:
    """Charge the order; a gateway that does not answer is asked again with the same key."""
    answer = await gateway.charge(request_of(order), idempotency_key(order.purchase_id))
    return captured(order, answer) if isinstance(answer, Charged) else declined(order, answer)


@service.lost(charge)
async def give_back(
    mine: PaymentCaptured | PaymentDeclined | None,
    stored: PaymentCaptured | PaymentDeclined,
    gateway: Gateway,
) -> None:
    """Take no money for what somebody else declined.

    We may have charged, and died before we said so: the gateway knows. Where the stored outcome is
    a charge, there is one: all charges of a purchase have one key.
    """
    if isinstance(stored, PaymentCaptured) or isinstance(mine, PaymentDeclined):
        return
    key = idempotency_key(stored.purchase_id)
    if mine is not None or isinstance(await gateway.find(key), Charged):
        await gateway.refund(key)


@service.on(RefundWanted, policy=POLICY)
async def refund(wanted: RefundWanted, delivery: Delivery, gateway: Gateway) -> PaymentRefunded:
    """Give back what was charged, once however often this is asked."""
    await gateway.refund(idempotency_key(wanted.purchase_id))
    return PaymentRefunded(
        purchase_id=wanted.purchase_id,
        customer=wanted.customer,
        amount=wanted.amount,
        currency=wanted.currency,
        reference=wanted.reference,
        refunded_at=delivery.stored_at,
    )


def idempotency_key(purchase_id: str) -> str:
    """The key that makes charges for a purchase one charge: ASCII and short for any id."""
    return str(uuid5(_KEYS, purchase_id))


def request_of(order: OrderValidated) -> ChargeRequest:
    """What the gateway is asked for `order`."""
    return ChargeRequest(
        amount=order.total,
        currency=order.currency,
        token=order.payment_token,
        description=f"Purchase {order.purchase_id}",
    )


def captured(order: OrderValidated, answer: Charged) -> PaymentCaptured:
    """The event for a charge that was made."""
    return PaymentCaptured(
        purchase_id=order.purchase_id,
        customer=order.customer,
        items=order.items,
        amount=order.total,
        currency=order.currency,
        reference=answer.id,
        captured_at=answer.created_at,
    )


def declined(order: OrderValidated, answer: Refused) -> PaymentDeclined:
    """The event for a charge that was refused; a code we do not know is OTHER."""
    reason = DeclineReason(answer.code)
    return PaymentDeclined(
        purchase_id=order.purchase_id,
        customer=order.customer,
        items=order.items,
        amount=order.total,
        currency=order.currency,
        reason=reason,
        message=_MESSAGES[reason],
        retryable=reason in _RETRYABLE,
        declined_at=answer.created_at,
    )
