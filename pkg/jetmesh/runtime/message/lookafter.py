"""Who looks later whether a key that waits goes on: one message on the lane for each (ADR-0036).

Whoever holds a key goes on by itself. This is for the case that nobody does, as when code that
keeps no order took what would have been the next one, in the middle of a rollout.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

from jetmesh.declare import Policy
from jetmesh.runtime.message.belief import Publish
from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.message.letters import waiting, without_payload
from jetmesh.runtime.message.line import waits_since
from jetmesh.runtime.message.storing import Told

_MORE_SECONDS: Final = 5.0


class LookAfter:
    """Stores such messages for one handler."""

    def __init__(self, policy: Policy, publish: Publish) -> None:
        self.seconds = max(policy.ack_wait, policy.timeout) + _MORE_SECONDS
        """When it is due: a key that did not move for so long is held by nobody."""
        self._publish = publish

    async def store(self, delivered: Delivered, done: int) -> None:
        """Return once somebody looks after the key, of which everything up to `done` is done."""
        stored = asyncio.Event()
        line, delivered.line = delivered.line, waits_since(done)
        letter = waiting(delivered, datetime.now(UTC) + timedelta(seconds=self.seconds))
        delivered.line = line

        def too_large(_: str) -> None:
            told = Told(stored.set, lambda _: stored.set(), lambda *_: stored.set())
            self._publish(*without_payload(letter), told)

        self._publish(*letter, Told(stored.set, too_large, lambda *_: stored.set()))
        await stored.wait()
