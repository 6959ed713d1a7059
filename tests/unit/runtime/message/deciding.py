"""Handlers of the desk that decide something, and what is asked about it."""

from __future__ import annotations

from typing import Any

from jetmesh.testing import eventually
from tests.unit.runtime.message.desk import Accepted, Desk, Noted, Placed, Refused, Shipped

GUARD = "desk.*.k-1"
ACCEPTED = "desk.accepted.k-1"


class Effect:
    """An `async def` handler that returns `result`; it counts its runs."""

    def __init__(self, result: Any = None) -> None:
        self.runs = 0
        self.result = result

    def deciding(self) -> Desk:
        async def look(placed: Placed) -> Accepted | Refused:
            outcome: Accepted | Refused = self._ran()
            return outcome

        return Desk(look)

    def deciding_and_more(self) -> Desk:
        async def look(placed: Placed) -> list[Accepted | Refused | Noted]:
            outputs: list[Accepted | Refused | Noted] = self._ran()
            return outputs

        return Desk(look)

    def deciding_twice(self) -> Desk:
        async def look(placed: Placed) -> list[Accepted | Shipped]:
            outputs: list[Accepted | Shipped] = self._ran()
            return outputs

        return Desk(look)

    def _ran(self) -> Any:
        self.runs += 1
        return self.result


async def ended(desk: Desk) -> None:
    await eventually(lambda: not desk.consumer.runner.tasks)
