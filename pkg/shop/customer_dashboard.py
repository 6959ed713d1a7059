"""The customer dashboard: an order's story, for whom it belongs to.

It opens with the order's own link, or with its number and e-mail address together. Whoever has
neither learns nothing: not even whether there is such an order (ADR-0024).
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from typing import Final
from urllib.parse import parse_qsl, urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from jetmesh import BrokerError, History, Service
from jetmesh.rate import RateLimit
from jetmesh.web import Fetched, Live, Pages, client_of, is_same_origin, read_body
from shop.customer_accounts import MOST_ACCOUNTS, Accounts
from shop.customer_orders import MOST_ORDERS, Orders
from shop.customer_story import EVENTS
from shop.customer_telling import tell
from shop.order_links import LinkSecrets, opens, path, token_of
from shop.web import FOLDER
from shop_contracts import Account, TierReached

ANSWER_SECONDS: Final = 0.5
"""After so long it is answered whether number and address belong together: never sooner."""
_ATTEMPTS: Final = 30
_MOST_BYTES: Final = 4096


class CustomerDashboardSettings(LinkSecrets, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the customer dashboard can be told."""


service = Service(
    "customer-dashboard",
    version="1.0.0",
    settings=CustomerDashboardSettings,
    description="An order's story, step by step and live, and what its customer has earned.",
)
service.read_model(Orders, events=EVENTS, most_keys=MOST_ORDERS)
service.read_model(Accounts, events=(Account, TierReached), most_keys=MOST_ACCOUNTS)


@service.web
def pages(
    orders: Orders, accounts: Accounts, history: History, settings: CustomerDashboardSettings
) -> list[BaseRoute]:
    """A search, an order's page, events for it, and its story as JSON for scripts."""
    shown = _Shown(orders, accounts, history, settings)
    return [
        Route("/", shown.start),
        Route("/orders", shown.find, methods=["POST"]),
        Route("/orders", shown.show),
        Route("/orders/{key:path}", shown.show),
        Route("/api/orders/{key:path}", shown.read),
        Route("/live/orders", shown.follow),
        shown.frame.static,
    ]


class _Shown:
    """What a customer sees."""

    def __init__(
        self, orders: Orders, accounts: Accounts, history: History, settings: LinkSecrets
    ) -> None:
        self.frame = Pages(FOLDER)
        self._orders = orders
        self._accounts = accounts
        self._history = history
        # without one there are no links; who comes with number and address is let in all the same
        self._secret = settings.link_secret or secrets.token_urlsafe()
        self._secrets = (self._secret, settings.previous_link_secret)
        self._attempts = RateLimit(_ATTEMPTS, 60)

    async def start(self, _request: Request) -> Response:
        return self.frame.show("customer.html", {"wrong": ""})

    async def find(self, request: Request) -> Response:
        """Open the order of a number and its address; all else gets one answer, after one time."""
        answered = time.monotonic() + ANSWER_SECONDS
        if not is_same_origin(request):
            return PlainTextResponse("This form belongs to another page.\n", 403)
        form = dict(parse_qsl((await read_body(request, _MOST_BYTES)).decode(errors="replace")))
        key, address = form.get("id", "").strip(), form.get("email", "").strip()
        allowed = self._attempts.allows(client_of(request))
        known = await self._known_address(key) if allowed and key else ""
        await asyncio.sleep(max(0.0, answered - time.monotonic()))
        if not allowed:
            return self._unknown("There were too many attempts. Try again in a minute.", 429)
        if known and hmac.compare_digest(known.lower().encode(), address.lower().encode()):
            where = path(key, token_of(key, self._secret))
            return RedirectResponse(where, 303, {"cache-control": "no-store"})
        return self._unknown("We know no order of this number with this e-mail address.", 403)

    async def show(self, request: Request) -> Response:
        key = _key(request)
        if not self._may_see(request, key):
            return self._unknown("", 403)
        asked = urlencode({"id": key, "token": request.query_params["token"]})
        values = {"key": key, "live": f"/live/orders?{asked}"}
        return self.frame.show("customer_order.html", values)

    async def read(self, request: Request) -> Response:
        key = _key(request)
        if not self._may_see(request, key):
            return PlainTextResponse("The order's own token is missing (?token=…).\n", 403)
        followed = self._followed(key)
        text = await followed.told()
        headers = {"cache-control": "no-store"}
        return Response(text, 200 if followed.known else 404, headers, "application/json")

    async def follow(self, request: Request) -> Live | Response:
        key = _key(request)
        if not self._may_see(request, key):
            return PlainTextResponse("The order's own token is missing (token=…).\n", 403)
        followed = self._followed(key)
        return Live(Fetched(followed.version, followed.told))

    def _followed(self, key: str) -> _Followed:
        return _Followed(key, self._orders, self._accounts, self._history)

    def _may_see(self, request: Request, key: str) -> bool:
        return opens(key, request.query_params.get("token", ""), *self._secrets)

    def _unknown(self, wrong: str, status: int) -> Response:
        return self.frame.show("customer.html", {"wrong": wrong}, status=status)

    async def _known_address(self, key: str) -> str:
        try:
            return await self._orders.address(key, self._history)
        except BrokerError:
            return ""


class _Followed:
    """One order with what its customer has earned."""

    def __init__(self, key: str, orders: Orders, accounts: Accounts, history: History) -> None:
        self._key = key
        self._orders = orders
        self._accounts = accounts
        self._history = history
        self._account = ""
        self.known = False
        """Something is stored of it."""

    def version(self) -> object:
        """Differs whenever something that is told does."""
        return self._orders.version(self._key), self._accounts.version(self._account)

    async def told(self) -> bytes:
        """As a page or a script reads it.

        Raises:
            BrokerError: the streams cannot be read.
        """
        story = await self._orders.story(self._key, self._history)
        self.known = story is not None
        self._account = story.paid.account if story and story.paid else ""
        earned = await self._accounts.find(self._account, self._history) if self._account else None
        return msgspec.json.encode(tell(self._key, story, earned))


def _key(request: Request) -> str:
    key: str = request.path_params.get("key") or request.query_params.get("id", "")
    return key
