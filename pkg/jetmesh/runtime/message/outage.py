"""A dependency is away: one handler waits for it, and tries with one delivery at a time.

Without this the whole backlog would go through its retries while a gateway restarts, and end as
dead letters of an outage (ADR-0009).
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Final

import structlog

from jetmesh.declare import Policy
from jetmesh.runtime.message.delivered import Delivered, Runner

_LONGEST_PAUSE: Final = 3.0
"""Between two tries, whatever the policy's cap: a dependency that is back should be noticed."""

log = structlog.get_logger()


class Outage:
    """Holds what waits for the dependency of one handler."""

    def __init__(
        self, name: str, policy: Policy, runner: Runner, on_change: Callable[[], None]
    ) -> None:
        self.reason = ""
        """What is away, in the handler's words; empty when all is well."""
        self._name = name
        self._policy = policy
        self._runner = runner
        self._on_change = on_change
        self._waiting: deque[Delivered] = deque()
        self._reported: set[Delivered] = set()
        """Those that called it away; the others only wait, and accuse nobody."""
        self._probing: asyncio.Task[None] | None = None
        self._since = 0.0
        self._stopping = False

    @property
    def problem(self) -> str:
        """Why the handler does not go on, in words; empty when it does."""
        if not self.reason:
            return ""
        standing = monotonic() - self._since
        return (
            f"{self._name} has been waiting for {standing:.0f} s: {self.reason.rstrip('.')}; "
            "it tries with one delivery at a time"
        )

    def wait(self, delivered: Delivered) -> None:
        """Keep a delivery until the dependency works again."""
        self._waiting.append(delivered)

    def report(self, delivered: Delivered, reason: str) -> None:
        """A handler could not reach its dependency."""
        if self._stopping:
            self._runner.give_back(delivered)
            return
        self.wait(delivered)
        self._reported.add(delivered)
        begins, self.reason = not self.reason, reason
        if not begins:
            return
        self._since = monotonic()
        log.warning("unavailable, waiting", handler=self._name, reason=reason)
        self._on_change()
        self._probing = asyncio.create_task(self._probe())

    async def stop(self) -> None:
        """End before the service does, and give back what waits: it may wait for long."""
        self._stopping = True
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)
        for delivered in self._waiting:
            self._runner.give_back(delivered)
        self._waiting.clear()

    async def _probe(self) -> None:
        attempt = 1
        while self._waiting:
            pause = self._policy.delay(attempt, random.random())  # noqa: S311 - jitter is no secret
            await asyncio.sleep(min(pause, _LONGEST_PAUSE))
            if await self._works(self._waiting.popleft()):
                break  # another one each time: it may be the fault of one message
            attempt += 1
        self._over()

    async def _works(self, delivered: Delivered) -> bool:
        if not delivered.held:
            return False
        try:
            await self._runner.probe(delivered)
        except asyncio.CancelledError:
            self._waiting.append(delivered)
            raise
        return delivered not in self._waiting

    def _over(self) -> None:
        log.info("available again", handler=self._name, after=round(monotonic() - self._since, 1))
        self.reason = ""
        self._on_change()
        waiting = [each for each in self._waiting if each.held]
        self._waiting.clear()
        reported, self._reported = self._reported, set()
        for each in waiting:
            each.excuses += each in reported
            self._runner.begin(each)
