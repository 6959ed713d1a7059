"""The payment gateway's HTTP interface: what is asked, and what its answers mean."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated, Final

from aiohttp import ClientError, ClientSession
from msgspec import DecodeError, Meta, Struct
from msgspec.json import decode, encode

from jetmesh import Reject, Retry, Unavailable

_LATER: Final = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.CONFLICT,  # the first request with this key is still being worked on
        HTTPStatus.TOO_EARLY,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)


_AWAY: Final = frozenset(
    {
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
        # wrong settings, which somebody corrects while the orders wait
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
    }
)


class ChargeRequest(Struct, frozen=True, kw_only=True):
    """The body of `POST /charges`."""

    amount: Decimal
    currency: str
    token: str
    description: str


class Charged(Struct, frozen=True, kw_only=True, tag_field="status", tag="captured"):
    """The answer to a charge that was made."""

    id: str
    created_at: Annotated[datetime, Meta(tz=True)]


class Refused(Struct, frozen=True, kw_only=True, tag_field="status", tag="declined"):
    """The answer to a charge that the bank or the gateway refused."""

    code: str
    created_at: Annotated[datetime, Meta(tz=True)]


class Gateway:
    """A client of the gateway; the mesh retries, so each call is one request."""

    def __init__(self, session: ClientSession) -> None:
        self._session = session

    async def charge(self, request: ChargeRequest, idempotency_key: str) -> Charged | Refused:
        """Charge once for `idempotency_key`, however often it is called.

        Raises:
            Unavailable: the gateway does not answer, or not to us.
            Retry: it cannot charge this order at the moment.
            Reject: the gateway does not accept such a request.
        """
        return read_answer(*await self._ask("POST", "charges", idempotency_key, encode(request)))

    async def find(self, idempotency_key: str) -> Charged | Refused | None:
        """What a charge with `idempotency_key` was answered; None when there was none.

        Raises:
            Unavailable, Retry, Reject: as `charge`.
        """
        status, body = await self._ask("GET", "charges", idempotency_key)
        return None if status == HTTPStatus.NO_CONTENT else read_answer(status, body)

    async def refund(self, idempotency_key: str) -> None:
        """Give back what was charged with `idempotency_key`, once however often it is called.

        Raises:
            Unavailable, Retry, Reject: as `charge`.
        """
        read_answer(*await self._ask("POST", "refunds", idempotency_key))

    async def _ask(self, method: str, path: str, key: str, body: bytes = b"") -> tuple[int, bytes]:
        headers = {"content-type": "application/json", "idempotency-key": key}
        try:
            async with self._session.request(
                method, path, data=body, headers=headers, allow_redirects=False
            ) as response:
                return response.status, await response.read()
        except (ClientError, TimeoutError) as error:
            # Only the kind: what an error of the client says is not ours to promise harmless.
            raise Unavailable(f"The gateway did not answer: {type(error).__name__}.") from error


def read_answer(status: int, body: bytes) -> Charged | Refused:
    """What the gateway's answer means. Its text is never quoted: it may repeat the token.

    Raises:
        Unavailable: no request would get another answer now.
        Retry: the gateway cannot answer this one now, or its answer cannot be read. Asking again
            with the same key is safe, whatever it did.
        Reject: the gateway does not accept such a request, so asking again cannot help.
    """
    if status == HTTPStatus.PAYMENT_REQUIRED or HTTPStatus(200) <= status < HTTPStatus(300):
        try:
            return decode(body, type=Charged | Refused)
        except DecodeError as error:  # no JSON, or not what the interface promises
            raise Retry(f"The gateway's answer with status {status} cannot be read.") from error
    if status in _AWAY:
        raise Unavailable(f"The gateway answered with status {status}.")
    if status in _LATER or not HTTPStatus(400) <= status < HTTPStatus(500):
        raise Retry(f"The gateway answered with status {status}.")
    raise Reject(
        f"The gateway refused the request with status {status}; "
        "its log has the reason under the Idempotency-Key."
    )
