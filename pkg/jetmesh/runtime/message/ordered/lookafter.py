"""Who looks later whether a key that waits goes on: one message on the lane for each (ADR-0036).

Whoever holds a key goes on by itself. This is for the case that nobody does: code that keeps no
order took what would have been the next one, or somebody removed the letter for which it waits.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

from jetmesh.declare import Policy
from jetmesh.runtime.message.belief import Publish
from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.message.letters import waiting
from jetmesh.runtime.message.ordered.line import waits_since
from jetmesh.runtime.message.storing import Told

_MORE_SECONDS: Final = 5.0


class LookAfter:
    """Stores such messages for one handler."""

    def __init__(self, policy: Policy, publish: Publish) -> None:
        self.seconds = max(policy.ack_wait, policy.timeout) + _MORE_SECONDS
        """When it is due: a key that did not move for so long is held by nobody."""
        self._publish = publish

    async def store(self, delivered: Delivered, stand: str) -> None:
        """Return once somebody looks after the key, which is so far (`Cursor.stand`)."""
        stored = asyncio.Event()
        at = datetime.now(UTC) + timedelta(seconds=self.seconds)
        told = Told(stored.set, lambda _: stored.set(), lambda *_: stored.set())
        self._publish(*waiting(delivered, waits_since(stand), at), told)
        await stored.wait()
