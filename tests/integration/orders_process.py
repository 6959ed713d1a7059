"""A small process in a domain of its own: an order is paid, or closed."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct, defstruct

from jetmesh import Policy, Service, event, state
from jetmesh.declare import Duration
from jetmesh.testing import Mesh, eventually
from jetmesh.transport.stored import StoredMessage

QUICK = Policy(attempts=3, backoff=Duration(0.01), backoff_cap=Duration(0.02))
OLD = Literal["waiting", "paid", "closed"]


class Orders:
    """Contracts, a state with steps, and a service that moves it."""

    def __init__(
        self, unique: str, steps: Any = OLD, *, otherwise: Any = "ignore", **how: Any
    ) -> None:
        @event(f"{unique}-in.placed", key="order_id")
        class Placed(Struct, frozen=True):
            order_id: str

        @event(f"{unique}-in.paid", key="order_id")
        class Paid(Struct, frozen=True):
            order_id: str
            goes_to: str = "paid"

        @event(f"{unique}-in.closed", key="order_id")
        class Closed(Struct, frozen=True):
            order_id: str

        made = defstruct("Order", [("order_id", str), ("step", steps)], frozen=True)
        self.domain = unique
        self.placed, self.paid, self.closed = Placed, Paid, Closed
        said = {
            "ends": ("closed",),
            "forever": {"waiting": "tests are quick", "paid": "tests are quick"},
            **how,
        }
        self.order: Any = state(f"{unique}.orders", key="order_id", steps="step", **said)(made)
        self.service = Service(f"{unique}-orders")
        self.otherwise = otherwise

    def moving(self) -> Service:
        """With its three handlers."""
        order = self.order

        def place(event: Any, known: Any) -> Any:
            return order(event.order_id, "waiting")

        def pay(event: Any, known: Any) -> Any:
            return order(event.order_id, event.goes_to)

        def close(event: Any, known: Any) -> Any:
            return order(event.order_id, "closed")

        for function, takes, moves in (
            (place, self.placed, {None: "waiting"}),
            (pay, self.paid, {"waiting": "paid"}),
            (close, self.closed, {"waiting": "closed", "paid": "closed"}),
        ):
            self.on(function, takes, moves)
        return self.service

    def on(self, function: Any, takes: Any, moves: dict[Any, Any]) -> None:
        """One more handler."""
        order = self.order
        function.__annotations__ = {"event": takes, "known": order | None, "return": order}
        how = {"moves": moves, "otherwise": self.otherwise}
        self.service.on(takes, policy=QUICK, state=order, **how)(function)

    @property
    def stream(self) -> str:
        return f"STATES_{self.domain.upper()}_ORDERS"

    @property
    def name(self) -> str:
        return f"{self.domain}.orders"

    async def newest(self, m: Mesh, key: str) -> StoredMessage | None:
        """The state's message as it is stored."""
        return await m.control.last(self.stream, f"states.{self.domain}.orders.{key}")

    async def stands(self, m: Mesh, key: str, step: str) -> None:
        """Wait until a process is in a step."""

        async def there() -> bool:
            found = await self.newest(m, key)
            return bool(found and found.payload) and (
                msgspec.json.decode(found.payload)["step"] == step  # type: ignore[union-attr] # as just seen
            )

        await eventually(there, what=f"{key} in {step}")

    async def letters(self, m: Mesh) -> list[StoredMessage]:
        """The dead letters of its handlers."""
        return await m.stored("DEADLETTERS", f"deadletters.{self.service.name}.>")
