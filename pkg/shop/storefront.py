"""The storefront: an order form in the browser, and `POST /purchases` for programs."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import quote

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from jetmesh import BrokerError, ContractViolation, Publisher, Publishing, Service, Stored
from jetmesh.rate import RateLimit
from jetmesh.web import Pages, client_of, is_same_origin, read_body
from shop.order_form import ARTICLES, CARDS, CURRENCY, OrderFormError, ordered, read
from shop.order_links import LinkSettings, opens, token_of
from shop.web import FOLDER
from shop_contracts import PurchaseCreated

MOST_BYTES: Final = 64 * 1024
PATIENCE: Final = 5.0
"""Seconds until a person is told that the order is still on its way."""


class StorefrontSettings(LinkSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the storefront can be told."""

    purchases_per_minute: Annotated[
        int,
        Meta(
            ge=0,
            le=100_000,
            description="The most purchases that one address may send in a minute; 0: any number. "
            "Behind a proxy set http.trusted_proxies, or all are one address.",
        ),
    ] = 600


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
    shown = _Shown(settings)
    limit = RateLimit(settings.purchases_per_minute, 60)

    async def show(_: Request) -> Response:
        return shown.form({})

    async def take(request: Request) -> Response:
        if not is_same_origin(request):
            return _json(403, {"error": "This comes from another page."})
        if not limit.allows(client_of(request)):
            return _json(429, {"error": "Too many purchases within a minute."})
        body = await read_body(request, MOST_BYTES)
        if "json" in request.headers.get("content-type", ""):
            return await _take_json(publisher, body)
        form: dict[str, str] = {}
        try:
            form = read(body)
            shown.check(form)
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

    def __init__(self, settings: LinkSettings) -> None:
        self.frame = Pages(FOLDER)
        self._settings = settings

    def form(self, given: Mapping[str, str], wrong: str = "") -> Response:
        """The form, with what was filled in already and what is wrong with it."""
        # the number is chosen here, so a form that is sent twice is one order
        if not self._is_ours(given):
            number = f"web-{secrets.token_hex(8)}"
            given = {**given, "purchase_id": number, "seal": self._seal(number)}
        values = {"articles": ARTICLES, "cards": CARDS, "currency": CURRENCY}
        values |= {"given": given, "wrong": wrong}
        return self.frame.show("storefront.html", values, status=400 if wrong else 200)

    def check(self, form: Mapping[str, str]) -> None:
        """Whoever sends a number of their own choice would get the link of somebody else's order.

        Raises:
            OrderFormError: the number is none that a form of ours was given.
        """
        if not self._is_ours(form):
            raise OrderFormError("This form is too old. Please send it once more.")

    def _is_ours(self, form: Mapping[str, str]) -> bool:
        number, seal = form.get("purchase_id", ""), form.get("seal", "")
        both = (self._settings.link_secret, self._settings.previous_link_secret)
        if not self._settings.link_secret:  # links carry no token: there is nothing to get
            return bool(number)
        return opens(number, seal, *both, purpose="form")

    def _seal(self, number: str) -> str:
        secret = self._settings.link_secret
        return token_of(number, secret, "form") if secret else ""

    def placed(self, purchase_id: str, *, is_stored: bool) -> Response:
        """The order's number, and where it is followed.

        No redirect leads there: a form may not, to another origin (`form-action 'self'`).
        """
        place = self._settings.link(purchase_id)
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


def _json(status: int, data: Any) -> Response:
    headers = {"cache-control": "no-store"}
    return Response(msgspec.json.encode(data), status, headers, "application/json")
