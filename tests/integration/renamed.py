"""A small shop in two versions of one contract: a field is renamed everywhere, as people do it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from jetmesh import Record, Reject, Retry, Service, event, upcasts
from jetmesh.operate.up.broker import Broker
from jetmesh.testing import mesh

Sensitive = Annotated[str, Meta(extra={"sensitive": True}, max_length=30)]


class Shop:
    """Orders are validated, payments reads them, and a board counts them."""

    def __init__(
        self,
        domain: str,
        field: str = "validated_at",
        fails: Mapping[str, Literal["retry", "reject"]] | None = None,
        version: int = 1,
        oldest: int = 1,
    ) -> None:
        """`fails`: orders that payments retries later, or gives up."""

        @event(f"{domain}-in.placed", key="order_id")
        class Placed(Struct, frozen=True):
            order_id: str
            email: str = ""

        fields: list[Any] = [("order_id", str), (field, str), ("email", Sensitive, "")]
        made = msgspec.defstruct("Validated", fields, frozen=True, module=__name__)
        Validated: Any = event(  # noqa: N806 - it is a class
            f"{domain}.validated",
            key="order_id",
            decision=f"{domain}.*",
            version=version,
            oldest=oldest,
        )(made)
        if version > oldest:

            @upcasts(1, Validated)
            def with_new_name(old: dict[str, Any]) -> dict[str, Any]:
                old[field] = old.pop("validated_at")
                return old

        class Board:
            def __init__(self) -> None:
                self.orders: list[str] = []

            def apply(self, event: Any, _: Record) -> None:
                self.orders.append(event.order_id)

        self.stream, self.subject = domain.upper(), f"{domain}.validated"
        self.placed, self.validated, self.board = Placed, Validated, Board
        self.paid: list[str] = []
        self.validation = Service(f"{domain}-validation", version="1.0.0")
        self.payments = Service(f"{domain}-payments", version="1.0.0")
        self.shown = Service(f"{domain}-shown", version="1.0.0")
        self.services = (self.validation, self.payments, self.shown)
        self.shown.read_model(Board, events=[Validated])

        @self.validation.on(Placed)
        def decide(placed: Placed) -> Validated:
            return Validated(placed.order_id, "noon", placed.email)

        @self.payments.on(Validated)
        def charge(order: Validated) -> None:
            match (fails or {}).get(order.order_id):
                case "retry":
                    raise Retry(after=3600)
                case "reject":
                    raise Reject("not with us")
            self.paid.append(order.order_id)


def renamed(domain: str) -> Shop:
    """The same shop, whose orders say it in `checked_at`."""
    return Shop(domain, "checked_at")


def upcast(domain: str) -> Shop:
    """The same, in a version of its own that reads the old one."""
    return Shop(domain, "checked_at", version=2)


async def stored(broker: Broker, shop: Shop, count: int, email: str = "") -> None:
    """So many orders are validated, and nobody has read them."""
    async with mesh(shop.validation, url=broker.url) as m:
        for number in range(count):
            await m.publish(shop.placed(f"p-{number}", email))
        await m.settled()
