"""The load of the ordered handler: moves of parcels; some fail for a while, some for good."""

from __future__ import annotations

import asyncio
import json
from random import Random
from typing import Final

from jetmesh import wire
from jetmesh.transport.dataplane import DataPlane
from jetmesh.transport.seam import Message

RATE: Final = 25
"""Moves a second, of all parcels together."""
_PARCELS: Final = 16
"""New ones with each fault."""
_BAD: Final = 4
"""Of these so many are damaged on their way."""
_FEWEST: Final = 6
"""Moves of each parcel, however short the load was."""
_FAILS: Final = (0,) * 12 + (1, 1, 3)
"""How often a move fails: once is retried in place, more on the lane."""


class Asked:
    """One published message; the data plane sends it again until its fate is known."""

    __slots__ = ("_moves", "_parcel")

    def __init__(self, moves: Moves, parcel: str) -> None:
        self._moves = moves
        self._parcel = parcel

    def on_stored(self, _: bytes) -> None:
        self._moves.acknowledged[self._parcel] += 1

    def on_duplicate(self, _: Message, __: int) -> None:
        self.on_stored(b"")  # nobody else takes these ids

    def on_decided(self) -> None:
        self._moves.refused.append(f"{self._parcel}: a move was refused as decided")

    def on_impossible(self, reason: str) -> None:
        self._moves.refused.append(f"{self._parcel}: {reason}")


class Moves:
    """Publishes moves at their pace, whatever becomes of those before."""

    def __init__(self, plane: DataPlane, chance: Random) -> None:
        self.acknowledged: dict[str, int] = {}
        """How many moves of each parcel have their PubAck."""
        self.bad: dict[str, int] = {}
        """The move of a parcel that cannot be followed, by its number."""
        self.refused: list[str] = []
        self._plane = plane
        self._chance = chance
        self._counts: dict[str, int] = {}
        """Moves of the parcels that are on their way, published or not acknowledged yet."""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Send new parcels on their way."""
        begun = len(self.acknowledged)
        self._counts = {f"t-{begun + number}": 0 for number in range(_PARCELS)}
        self.acknowledged.update(self._counts)
        for parcel in list(self._counts)[:_BAD]:
            self.bad[parcel] = self._chance.randint(2, 4)
        self._task = asyncio.create_task(self._run())

    def stop(self) -> None:
        """Publish no more than each parcel still lacks; who waits for its PubAcks is `Load`."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        for parcel, count in self._counts.items():
            for _ in range(count, _FEWEST):
                self._ask(parcel)

    async def _run(self) -> None:
        while True:
            self._ask(self._chance.choice(list(self._counts)))
            await asyncio.sleep(1 / RATE)

    def _ask(self, parcel: str) -> None:
        number = self._counts[parcel] = self._counts[parcel] + 1
        asked = {
            "parcel_id": parcel,
            "number": number,
            "fails": self._chance.choice(_FAILS),
            "is_bad": self.bad.get(parcel) == number,
        }
        headers = wire.block({"Nats-Msg-Id": f"{parcel}:{number}"})
        subject = f"journeys.asked.{parcel}".encode()
        self._plane.publish(subject, headers, json.dumps(asked).encode(), Asked(self, parcel))
