"""Money as every contract writes it: a decimal amount beside an ISO 4217 currency."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from msgspec import Meta

Amount = Annotated[
    Decimal,
    Meta(
        description=(
            "An amount in units of the event's currency. A JSON number or a string is read, "
            "every digit kept; a string is written."
        ),
        examples=["9.00"],
    ),
]
"""Sound (finite, positive, with the currency's decimals) in everything that follows validation."""

AmountAsGiven = Annotated[
    Decimal,
    Meta(
        description=(
            "An amount exactly as somebody gave it: possibly negative, NaN, infinite or with a "
            "million digits. Calculate with it only after checking, show it only shortened."
        ),
        examples=["9.00"],
    ),
]
"""`shop.money.shown` shows one safely."""

Currency = Annotated[
    str, Meta(description="The ISO 4217 code of the currency, in capitals.", examples=["EUR"])
]
