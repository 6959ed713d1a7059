"""An order's own link: who has it may see the order, and nobody can guess it.

Its token is made of the order's number and a secret of the deployment. So nothing is stored, and
the mail, the storefront and the pages make the same one.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from typing import Annotated, Final
from urllib.parse import quote

from msgspec import Meta, Struct

_BYTES: Final = 18
_SHORTEST: Final = 16


class LinkSecrets(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What makes the tokens of orders; the same in every service that makes or reads them."""

    link_secret: Annotated[
        str,
        Meta(
            description="What the tokens in orders' links are made of; the same for all services. "
            "Empty: links carry none.",
            extra={"sensitive": True},
        ),
    ] = ""
    previous_link_secret: Annotated[
        str,
        Meta(
            description="The one before, whose links still open their orders.",
            extra={"sensitive": True},
        ),
    ] = ""

    def __post_init__(self) -> None:
        if any(0 < len(s) < _SHORTEST for s in (self.link_secret, self.previous_link_secret)):
            raise ValueError(f"link_secret has {_SHORTEST} characters or more")


class LinkSettings(LinkSecrets, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where orders are followed, and what their links are made of."""

    customer_dashboard_url: Annotated[
        str,
        Meta(
            pattern=r"^(https?://[^\s]+)?$",
            description="Where an order is followed; empty: there are no links to orders.",
        ),
    ] = ""

    def link(self, purchase_id: str) -> str:
        """The address of an order's page with its token; empty where there is none."""
        if not self.customer_dashboard_url:
            return ""
        token = token_of(purchase_id, self.link_secret) if self.link_secret else ""
        return self.customer_dashboard_url.rstrip("/") + path(purchase_id, token)


def path(purchase_id: str, token: str = "") -> str:
    """The path of an order's page, whatever its number is made of."""
    number = quote(purchase_id, safe="")
    if number in (".", ".."):  # a browser takes these for steps in the path
        return f"/orders?id={number}&token={token}"
    return f"/orders/{number}?token={token}" if token else f"/orders/{number}"


def token_of(purchase_id: str, secret: str, purpose: str = "order") -> str:
    """The token of an order, for one purpose: 24 characters that a link can hold."""
    made = hmac.digest(secret.encode(), f"{purpose} {purchase_id}".encode(), "sha256")
    return urlsafe_b64encode(made[:_BYTES]).decode()


def opens(purchase_id: str, token: str, *secrets: str, purpose: str = "order") -> bool:
    """Whether the token is that of the order, by one of the secrets."""
    found = [
        hmac.compare_digest(token.encode(), token_of(purchase_id, secret, purpose).encode())
        for secret in secrets
        if secret
    ]
    return any(found)
