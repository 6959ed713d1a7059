"""What customers have earned, for the pages of their orders: a read model of loyalty's state."""

from __future__ import annotations

from typing import Final, TypeVar

from msgspec import Struct

from jetmesh import History, Record
from shop_contracts import Account, TierReached

_T = TypeVar("_T")
MOST_ACCOUNTS: Final = 100_000
"""About 60 MB."""


class Earned(Struct, frozen=True):
    """What one customer has earned."""

    account: Account
    reached: TierReached | None = None
    """The newest tier, and with which purchase; None of who did not buy lately."""


class Accounts:
    """The account of each customer who bought lately; the others are read when somebody looks."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, Account]] = {}
        self._reached: dict[str, tuple[int, TierReached]] = {}

    def apply(self, event: Struct, record: Record) -> None:
        """Take what is newer: a state's message is all that is known of its key."""
        if isinstance(event, Account):
            _newest(self._known, event.account, record.sequence, event)
        elif isinstance(event, TierReached):
            _newest(self._reached, event.account, record.sequence, event)

    def drop(self, key: str) -> None:
        """Forget an account, for others need the room."""
        self._known.pop(key, None)
        self._reached.pop(key, None)

    def version(self, key: str) -> object:
        """Differs whenever what was earned does."""
        return self._known.get(key), self._reached.get(key)

    async def find(self, key: str, history: History) -> Earned | None:
        """What was earned; None while there are no points, or loyalty has not come to them yet.

        Raises:
            BrokerError: it is none of the newest accounts, and the stream cannot be read.
        """
        if known := self._known.get(key):
            _, reached = self._reached.get(key, (0, None))
            return Earned(known[1], reached)
        found = await history.first(Account, key)  # the only message of its key
        return Earned(found[0]) if found and isinstance(found[0], Account) else None


def _newest(of: dict[str, tuple[int, _T]], key: str, sequence: int, event: _T) -> None:
    if sequence >= of.get(key, (0, event))[0]:
        of[key] = sequence, event
