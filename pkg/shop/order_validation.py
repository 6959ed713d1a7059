"""Order validation: is a purchase sound enough to become an order?"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from jetmesh import Delivery, Service
from shop.addresses import is_plausible
from shop.currencies import FINEST, UNITS
from shop.money import EXACT, LARGEST, in_units, shown
from shop.plain_text import plain
from shop_contracts import (
    Customer,
    Item,
    OrderRejected,
    OrderValidated,
    PurchaseCreated,
    Reason,
    RejectionCode,
)


class ValidationSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How large an order may be."""

    ceiling: Annotated[
        Decimal, Meta(description="The largest total, in units of the purchase's currency.")
    ] = Decimal(100_000)
    ceilings: Annotated[
        dict[str, Decimal],
        Meta(description="Different ceilings for some currencies, such as {JPY = 15000000}."),
    ] = {}
    max_items: Annotated[int, Meta(ge=1, le=1000, description="The most lines of an order.")] = 500
    max_quantity: Annotated[
        int, Meta(ge=1, le=1_000_000, description="The largest quantity of one line.")
    ] = 10_000
    max_bytes: Annotated[
        int,
        Meta(
            ge=4096,
            le=524_288,
            description=(
                "The largest purchase, in bytes of JSON: at most half of the broker's "
                "`max_payload`, because every event that follows repeats most of it."
            ),
        ),
    ] = 262_144

    def __post_init__(self) -> None:
        for ceiling in (self.ceiling, *self.ceilings.values()):
            if not (ceiling.is_finite() and 0 < ceiling <= LARGEST):
                raise ValueError(f"a ceiling must be above 0 and at most {LARGEST:,}")

    def ceiling_of(self, currency: str) -> Decimal:
        """The largest total in `currency`."""
        return self.ceilings.get(currency, self.ceiling)


service = Service(
    "order-validation",
    version="1.0.0",
    settings=ValidationSettings,
    description="Accepts sound purchases as orders and rejects others with every reason.",
)


@service.on(PurchaseCreated)
def decide(
    purchase: PurchaseCreated, delivery: Delivery, settings: ValidationSettings
) -> OrderValidated | OrderRejected:
    """Accept a sound purchase; otherwise reject it with every reason found."""
    reasons = find_faults(purchase, settings)
    # When the purchase was stored, not now: a repeated delivery gives the same bytes.
    decided_at = delivery.stored_at
    if reasons:
        if reasons == [_TOO_LARGE]:
            purchase = _shortened(purchase)
        return OrderRejected(
            purchase_id=purchase.purchase_id,
            customer=purchase.customer,
            items=purchase.items,
            total=purchase.total,
            currency=purchase.currency,
            reasons=tuple(reasons),
            rejected_at=decided_at,
        )
    return OrderValidated(
        purchase_id=purchase.purchase_id,
        customer=purchase.customer,
        items=purchase.items,
        total=EXACT.quantize(purchase.total, UNITS[purchase.currency]),
        currency=purchase.currency,
        payment_token=purchase.payment_token,
        validated_at=decided_at,
    )


def find_faults(purchase: PurchaseCreated, settings: ValidationSettings) -> list[Reason]:
    """Every reason why `purchase` cannot become an order; none when it can.

    The contract admits any number, NaN and 1E+999999 too, so each is bounded before anything
    is calculated with it.
    """
    if len(_encoded(purchase)) > settings.max_bytes:
        return [_TOO_LARGE]  # nobody looks through a megabyte of names and lines
    faults: list[Reason] = []
    if not is_plausible(purchase.customer.email):
        faults.append(_IMPLAUSIBLE_EMAIL)
    total_of_items = _judge_items(purchase, settings, faults)
    _judge_total(purchase, settings, total_of_items, faults)
    if purchase.currency not in UNITS:
        faults.append(_UNKNOWN_CURRENCY)
    return faults


def _shortened(purchase: PurchaseCreated) -> PurchaseCreated:
    """What a rejection repeats of a purchase that is too large; the same each time.

    An address is kept or left out: a part of one may be somebody else's.
    """
    given = purchase.customer
    email = given.email if is_plausible(given.email) else ""
    return msgspec.structs.replace(
        purchase,
        customer=Customer(id=plain(given.id), name=plain(given.name), email=email),
        items=(),
        total=EXACT.plus(purchase.total),
        currency=plain(purchase.currency, 8),
    )


def _judge_items(
    purchase: PurchaseCreated, settings: ValidationSettings, faults: list[Reason]
) -> Decimal | None:
    """Add what is wrong with the items to `faults`; return their sum if nothing is."""
    items = purchase.items
    if not items:
        faults.append(_NO_ITEMS)
        return None
    if len(items) > settings.max_items:
        message = f"An order has at most {settings.max_items} lines."
        faults.append(_reason(RejectionCode.TOO_MANY_ITEMS, "items", message))
        return None  # a reason for each of a million lines would be no answer
    unit = UNITS.get(purchase.currency, FINEST)
    total, sound = _ZERO, True
    for index, item in enumerate(items):
        price, quantity = item.unit_price, item.quantity
        if (
            0 < quantity <= settings.max_quantity
            and price.is_finite()
            and _ZERO < price <= LARGEST
            and in_units(price, unit)
        ):
            total = EXACT.fma(price, quantity, total)
        else:
            sound = False
            faults += _item_faults(item, f"items[{index}]", unit, settings)
    return total if sound else None


def _item_faults(
    item: Item, path: str, unit: Decimal, settings: ValidationSettings
) -> Iterator[Reason]:
    price, quantity = item.unit_price, item.quantity
    if quantity <= 0:
        message = "The quantity must be at least 1."
        yield _reason(RejectionCode.QUANTITY_NOT_POSITIVE, f"{path}.quantity", message)
    elif quantity > settings.max_quantity:
        message = f"The quantity must be at most {settings.max_quantity}."
        yield _reason(RejectionCode.QUANTITY_TOO_LARGE, f"{path}.quantity", message)
    if not price.is_finite() or price <= _ZERO:
        message = "The unit price must be a number above 0."
        yield _reason(RejectionCode.PRICE_NOT_POSITIVE, f"{path}.unit_price", message)
    elif price > LARGEST:
        message = "The unit price is far too large."
        yield _reason(RejectionCode.OVER_CEILING, f"{path}.unit_price", message)
    elif not in_units(price, unit):
        message = "The unit price has more decimals than its currency."
        yield _reason(RejectionCode.PRICE_DECIMALS, f"{path}.unit_price", message)


def _judge_total(
    purchase: PurchaseCreated,
    settings: ValidationSettings,
    total_of_items: Decimal | None,
    faults: list[Reason],
) -> None:
    total, currency = purchase.total, purchase.currency
    if not total.is_finite() or total <= _ZERO:
        faults.append(_TOTAL_INVALID)
        return
    ceiling = settings.ceiling_of(currency)
    if total > ceiling:
        message = f"The total is above the limit of {shown(ceiling, currency)}."
        faults.append(_reason(RejectionCode.OVER_CEILING, "total", message))
    if total > LARGEST or total == total_of_items:
        return
    if not in_units(total, UNITS.get(currency, FINEST)):
        faults.append(_TOTAL_DECIMALS)
    elif total_of_items is not None:
        given, right = shown(total, currency), shown(total_of_items, currency)
        message = f"The total is {given}, but the items add up to {right}."
        faults.append(_reason(RejectionCode.TOTAL_MISMATCH, "total", message))


def _reason(code: RejectionCode, field: str, message: str) -> Reason:
    return Reason(code=code, field=field, message=message)


_encoded = msgspec.json.Encoder().encode
_ZERO = Decimal(0)
_TOO_LARGE = _reason(
    RejectionCode.TOO_LARGE, "", "The purchase has more text than one order may have."
)
_IMPLAUSIBLE_EMAIL = _reason(
    RejectionCode.IMPLAUSIBLE_EMAIL,
    "customer.email",
    "The e-mail address cannot receive mail.",
)
_NO_ITEMS = _reason(RejectionCode.NO_ITEMS, "items", "There is nothing to buy.")
_TOTAL_INVALID = _reason(
    RejectionCode.TOTAL_INVALID, "total", "The total must be a number above 0."
)
_TOTAL_DECIMALS = _reason(
    RejectionCode.TOTAL_DECIMALS, "total", "The total has more decimals than its currency."
)
_UNKNOWN_CURRENCY = _reason(
    RejectionCode.UNKNOWN_CURRENCY,
    "currency",
    "The currency is not an active ISO 4217 code in capitals, such as EUR.",
)
