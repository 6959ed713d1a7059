"""The storefront: an order form in the browser, and `POST /purchases` for programs."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import quote

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from jetmesh import BrokerError, ContractViolation, Publisher, Publishing, Service, Stored
from jetmesh.web import Pages
from shop.order_form import ARTICLES, CARDS, CURRENCY, OrderFormError, ordered, read
from shop.web import FOLDER
from shop_contracts import PurchaseCreated

MOST_BYTES: Final = 64 * 1024
PATIENCE: Final = 5.0
"""Seconds until a person is told that the order is still on its way."""


class StorefrontSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the storefront can be told."""

    customer_dashboard_url: Annotated[
        str,
        Meta(
            pattern=r"^(https?://[^\s]+)?$",
            description="Where an order is followed; empty: only its number is shown.",
        ),
    ] = ""


service = Service(
    "storefront",
    version="1.0.0",
    settings=StorefrontSettings,
    description="An order form, and the way in for purchases of other programs.",
)
service.publishes(PurchaseCreated)


@service.web
def pages(publisher: Publisher, settings: StorefrontSettings) -> list[BaseRoute]:
    """The form, and what takes purchases from it and from programs."""
    shown = _Shown(settings.customer_dashboard_url.rstrip("/"))

    async def show(_: Request) -> Response:
        return shown.form({})

    async def take(request: Request) -> Response:
        body = await _body(request)
        if "json" in request.headers.get("content-type", ""):
            return await _take_json(publisher, body)
        form: dict[str, str] = {}
        try:
            form = read(body)
            purchase = ordered(form)
            stored = await _publish(publisher, purchase)
        except OrderFormError as error:
            return shown.form(form, str(error))
        except (BrokerError, ContractViolation):
            return shown.form(form, "The order cannot be taken like this.")
        return shown.placed(purchase.purchase_id, is_stored=stored is not None)

    return [Route("/", show), Route("/purchases", take, methods=["POST"]), shown.frame.static]


class _Shown:
    """What a person sees."""

    def __init__(self, dashboard: str) -> None:
        self.frame = Pages(FOLDER)
        self._dashboard = dashboard

    def form(self, given: Mapping[str, str], wrong: str = "") -> Response:
        """The form, with what was filled in already and what is wrong with it."""
        # the number is chosen here, so a form that is sent twice is one order
        given = {"purchase_id": f"web-{secrets.token_hex(6)}", **given}
        values = {"articles": ARTICLES, "cards": CARDS, "currency": CURRENCY}
        values |= {"given": given, "wrong": wrong}
        return self.frame.show("storefront.html", values, status=400 if wrong else 200)

    def placed(self, purchase_id: str, *, is_stored: bool) -> Response:
        """The order's number, and where it is followed.

        No redirect leads there: a form may not, to another origin (`form-action 'self'`).
        """
        path = f"/orders/{quote(purchase_id, safe='')}"
        place = self._dashboard + path if self._dashboard else ""
        values = {"purchase_id": purchase_id, "place": place, "is_stored": is_stored}
        return self.frame.show("storefront_placed.html", values, status=200 if is_stored else 202)


async def _take_json(publisher: Publishing, body: bytes) -> Response:
    """Take a purchase as the contract writes it, as a program has it.

    Answers 201 once it is stored, 200 if it was before, 202 while that is not known, 422 if it
    breaks the contract.
    """
    try:
        purchase = msgspec.json.decode(body, type=PurchaseCreated)
        stored = await _publish(publisher, purchase)
    except (BrokerError, ContractViolation, msgspec.DecodeError, UnicodeError) as error:
        return _json(422, {"error": str(error)})
    if stored is None:
        return _json(202, {"purchase_id": purchase.purchase_id})
    status = 200 if stored.duplicate else 201
    return _json(status, {"purchase_id": purchase.purchase_id, "duplicate": stored.duplicate})


async def _publish(publisher: Publishing, purchase: PurchaseCreated) -> Stored | None:
    """Where it is stored; None while the broker does not say, and it is still being sent."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await publisher.publish(purchase, message_id=_id(purchase))
    except TimeoutError:
        return None


def _id(purchase: PurchaseCreated) -> str:
    """The same for the same purchase, whoever sends it again; a purchase id may be any text."""
    return f"purchase:{quote(purchase.purchase_id, safe='')}"


async def _body(request: Request) -> bytes:
    """What was sent; cut where it is longer than any purchase, so that it cannot be read."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            return body[:MOST_BYTES]
    return body


def _json(status: int, data: Any) -> Response:
    headers = {"cache-control": "no-store"}
    return Response(msgspec.json.encode(data), status, headers, "application/json")
