"""The contracts of the shop: the only thing that its services share."""

from shop_contracts.codes import Code
from shop_contracts.loyalty import Account, Tier, TierReached
from shop_contracts.money import Amount, AmountAsGiven, Currency
from shop_contracts.notifications import Channel, NotificationSent, Outcome
from shop_contracts.orders import OrderRejected, OrderValidated, Reason, RejectionCode
from shop_contracts.payments import DeclineReason, PaymentCaptured, PaymentDeclined
from shop_contracts.purchases import (
    Customer,
    EmailAddress,
    Item,
    PaymentToken,
    PurchaseCreated,
    PurchaseId,
)

__all__ = [
    "Account",
    "Amount",
    "AmountAsGiven",
    "Channel",
    "Code",
    "Currency",
    "Customer",
    "DeclineReason",
    "EmailAddress",
    "Item",
    "NotificationSent",
    "OrderRejected",
    "OrderValidated",
    "Outcome",
    "PaymentCaptured",
    "PaymentDeclined",
    "PaymentToken",
    "PurchaseCreated",
    "PurchaseId",
    "Reason",
    "RejectionCode",
    "Tier",
    "TierReached",
]
