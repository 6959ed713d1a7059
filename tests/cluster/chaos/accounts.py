"""Whether what customers earned is exactly what they paid, and each tier was told once.

Reckoned from what is stored with none of the mesh's or the shop's own code: who is judged does not
keep the accounts.
"""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Final

from tests.cluster.chaos.reader import Reader

STATES: Final = "STATES_LOYALTY_ACCOUNTS"
TIERS: Final = "TIERS"
_FROM: Final = {"silver": 100, "gold": 500, "platinum": 2000}


class Accounts:
    """Folds what was read; `problems` says what is not as it should be, a sentence each."""

    def __init__(self, reader: Reader) -> None:
        self.paid: Counter[str] = Counter()
        """Whole units captured, by account."""
        self.points: dict[str, tuple[int, str]] = {}
        """Points and tier of each account, as loyalty remembers them."""
        self.told: dict[str, list[str]] = {}
        """Tiers that were told, by account, in their order."""
        self._reader = reader

    async def read(self) -> None:
        """Take over whatever is new.

        Raises:
            nats.errors.Error, TimeoutError: the cluster does not answer.
        """
        for message in await self._reader.new("PAYMENTS", whole=True):
            if message.subject.startswith("payments.captured."):
                self._capture(json.loads(message.payload))
        for message in await self._reader.new(STATES, whole=True):
            state = json.loads(message.payload)
            key = message.subject.rpartition(".")[2]
            self.points[key] = state["points"], state.get("tier") or ""
        for message in await self._reader.new(TIERS, whole=True):
            key = message.subject.rpartition(".")[2]
            self.told.setdefault(key, []).append(json.loads(message.payload)["tier"])

    def problems(self) -> list[str]:
        """What is wrong when nothing is on its way any more."""
        found = []
        for key in sorted(self.paid.keys() | self.points.keys() | self.told.keys()):
            due = self.paid[key]
            points, tier = self.points.get(key, (0, ""))
            tiers = [name for name, needed in _FROM.items() if due >= needed]
            if points != due:
                found.append(f"account {key} has {points} points of {due} that were paid")
            elif tier != (tiers[-1] if tiers else ""):
                found.append(f"account {key} has {points} points and the tier {tier or 'none'}")
            if (told := self.told.get(key, [])) != tiers:
                found.append(f"account {key} reached {tiers} and was told {told}")
        return found

    def _capture(self, payment: dict[str, Any]) -> None:
        customer = payment["customer"]["id"].encode()
        self.paid[blake2b(customer, digest_size=16).hexdigest()] += int(Decimal(payment["amount"]))
