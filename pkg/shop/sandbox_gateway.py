"""A stand-in for the payment gateway: charges nobody, and declines by known test tokens."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import blake2b
from html import escape
from typing import Final

from msgspec import DecodeError, Struct
from msgspec.json import Decoder, Encoder
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from shop.gateway import Charged, ChargeRequest, Refused
from shop.money import shown
from shop.plain_text import plain
from shop.sandbox import Journal, directory, listen, page, serve

OK: Final = "tok_ok"
FLAKY: Final = "tok_flaky"
SLOW: Final = "tok_slow"
PENDING: Final = "tok_pending"
DECLINES: Final = {
    "tok_insufficient_funds": "insufficient_funds",
    "tok_expired_card": "expired_card",
}
FAILURES: Final = 2
"""How often FLAKY is answered with 500, per key, before it works."""
SLOWNESS: Final = 3.0
"""Seconds until SLOW is answered; PENDING never is, but asked to come again."""

_SHOWN: Final = 100
_encode: Final = Encoder().encode
_read_request: Final = Decoder(ChargeRequest).decode


class Entry(Struct, frozen=True, kw_only=True):
    """One line of the journal: what was asked with a key, and what was answered."""

    key: str
    fingerprint: str
    """Of the request, so that a key reused for another one is noticed; tokens are not kept."""
    amount: Decimal
    currency: str
    description: str
    answer: Charged | Refused
    refunded: bool = False


_read_entry: Final = Decoder(Entry).decode


class Charges:
    """Every charge by its idempotency key; in memory are only the places in the journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._places: dict[str, int] = {}
        self._latest: deque[int] = deque(maxlen=_SHOWN)
        for place, line in journal:
            try:
                self._remember(_read_entry(line).key, place)
            except DecodeError:
                continue  # cut off by a crash, so never answered

    def __len__(self) -> int:
        return len(self._places)

    def find(self, key: str) -> Entry | None:
        """What was answered for `key`."""
        place = self._places.get(key)
        return None if place is None else _read_entry(self._journal.read(place))

    def add(self, entry: Entry) -> None:
        """Keep `entry`; it is on disk when this returns."""
        self._remember(entry.key, self._journal.append(_encode(entry)))

    def latest(self) -> list[Entry]:
        """The last charges, newest first."""
        return [_read_entry(self._journal.read(place)) for place in reversed(self._latest)]

    def _remember(self, key: str, place: int) -> None:
        self._places[key] = place
        self._latest.append(place)


def decide(request: ChargeRequest, key: str, now: datetime) -> Charged | Refused:
    """The answer to a new charge, by its token."""
    if request.token in DECLINES:
        return Refused(code=DECLINES[request.token], created_at=now)
    if request.token not in (OK, FLAKY, SLOW):
        return Refused(code="unknown_token", created_at=now)
    return Charged(id=f"ch_{_digest(key.encode())}", created_at=now)


def routes(charges: Charges) -> list[BaseRoute]:
    """The gateway's interface and its page."""
    failures: Counter[str] = Counter()

    async def charge(request: Request) -> Response:
        key, body = request.headers.get("idempotency-key", ""), await request.body()
        if not 0 < len(key) <= 255:  # noqa: PLR2004 - what real gateways allow
            return _problem(400, "Idempotency-Key must have 1 to 255 characters.")
        try:
            wanted = _read_request(body)
        except DecodeError as error:
            return _problem(400, str(error))
        if not (wanted.amount.is_finite() and wanted.amount > 0):
            return _problem(422, "amount must be above 0.")
        is_new = charges.find(key) is None
        if is_new and wanted.token == FLAKY and failures[key] < FAILURES:
            failures[key] += 1
            return _problem(500, "Try again later.")
        if wanted.token == PENDING:
            return _problem(409, "The bank has not decided yet.")
        if is_new and wanted.token == SLOW:
            await asyncio.sleep(SLOWNESS)
        return _settle(charges, key, wanted, _digest(body))

    async def show(_request: Request) -> HTMLResponse:
        return _page(charges)

    return [
        Route("/charges", charge, methods=["POST"]),
        *_routes_by_key(charges),
        Route("/", show),
    ]


def _routes_by_key(charges: Charges) -> list[BaseRoute]:
    """What can be asked and done later about a charge, by its key."""

    async def find(request: Request) -> Response:
        entry = charges.find(request.headers.get("idempotency-key", ""))
        if entry is None:
            return Response(status_code=204)
        return Response(_encode(entry.answer), media_type="application/json")

    async def refund(request: Request) -> Response:
        entry = charges.find(request.headers.get("idempotency-key", ""))
        if entry is None or isinstance(entry.answer, Refused):
            return _problem(422, "Nothing was charged with this Idempotency-Key.")
        if not entry.refunded:
            charges.add(replace(entry, refunded=True))
        return Response(_encode(entry.answer), media_type="application/json")

    return [Route("/charges", find), Route("/refunds", refund, methods=["POST"])]


def main() -> None:
    """Run the sandbox until SIGTERM or SIGINT."""
    listener = listen("JETMESH_SANDBOX_HTTP_PORT", 8090)
    journal = Journal(directory(".jetmesh/gateway") / "charges.jsonl")
    asyncio.run(serve(routes(Charges(journal)), listener))


def _settle(charges: Charges, key: str, wanted: ChargeRequest, fingerprint: str) -> Response:
    """Answer as before, or for the first time. Nothing is awaited here: a key is charged once."""
    entry = charges.find(key)
    if entry is None:
        entry = Entry(
            key=key,
            fingerprint=fingerprint,
            amount=wanted.amount,
            currency=wanted.currency,
            description=wanted.description,
            answer=decide(wanted, key, datetime.now(UTC)),
        )
        charges.add(entry)
    elif entry.fingerprint != fingerprint:
        return _problem(422, "The Idempotency-Key was used for another charge.")
    status = 201 if isinstance(entry.answer, Charged) else 402
    return Response(_encode(entry.answer), status, media_type="application/json")


def _page(charges: Charges) -> HTMLResponse:
    rows = "".join(
        f"<tr><td>{escape(entry.answer.created_at.strftime('%Y-%m-%d %H:%M:%S'))}</td>"
        f"<td>{escape(plain(entry.description, 120))}</td>"
        f"<td>{escape(shown(entry.amount, entry.currency))}</td>"
        f"<td>{escape(_outcome(entry))}</td></tr>"
        for entry in charges.latest()
    )
    tokens = ", ".join([OK, *DECLINES, FLAKY, SLOW, PENDING])
    return page(
        "Payment gateway (sandbox)",
        f"<p>{len(charges)} charges, the last {_SHOWN} of them below. No money moves. "
        f"Tokens: {escape(tokens)}.</p>"
        "<table><tr><th>time (UTC)</th><th>for</th><th>amount</th><th>answer</th></tr>"
        f"{rows}</table>",
    )


def _outcome(entry: Entry) -> str:
    if isinstance(entry.answer, Refused):
        return f"declined: {entry.answer.code}"
    return f"{'given back' if entry.refunded else 'captured'} {entry.answer.id}"


def _problem(status: int, message: str) -> Response:
    return Response(_encode({"message": message}), status, media_type="application/json")


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=8).hexdigest()
