"""The contracts of the shop: the only thing that its services share."""

from shop_contracts.codes import Code
from shop_contracts.fulfilment import (
    Fulfilment,
    FulfilmentStep,
    OrderExpired,
    PaymentOverdue,
    RefundWanted,
)
from shop_contracts.loyalty import Account, Tier, TierReached
from shop_contracts.money import Amount, AmountAsGiven, Currency
from shop_contracts.notifications import (
    Channel,
    ExpiryTold,
    NotificationSent,
    Outcome,
    RefundTold,
)
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
from shop_contracts.refunds import PaymentRefunded

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
    "ExpiryTold",
    "Fulfilment",
    "FulfilmentStep",
    "Item",
    "NotificationSent",
    "OrderExpired",
    "OrderRejected",
    "OrderValidated",
    "Outcome",
    "PaymentCaptured",
    "PaymentDeclined",
    "PaymentOverdue",
    "PaymentRefunded",
    "PaymentToken",
    "PurchaseCreated",
    "PurchaseId",
    "Reason",
    "RefundTold",
    "RefundWanted",
    "RejectionCode",
    "Tier",
    "TierReached",
]
