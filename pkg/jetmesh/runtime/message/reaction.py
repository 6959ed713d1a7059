"""What a handler does when it lost: call the function, and publish what it returns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any

from msgspec import Struct

from jetmesh.declare import Delivery, Handler, Lost, Policy, matches
from jetmesh.errors import Reject
from jetmesh.protocol.ids import LOST
from jetmesh.runtime.message.decisions import Decisions
from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.message.delivery import LiveDelivery
from jetmesh.runtime.message.letters import unreadable
from jetmesh.runtime.message.outputs import Outputs
from jetmesh.runtime.message.publisher import Publisher
from jetmesh.runtime.message.threads import Threads
from jetmesh.runtime.message.verdicts import Verdicts
from jetmesh.runtime.message.wrapped import wrapped
from jetmesh.transport.reader import reader_of
from jetmesh.transport.stored import StoredMessage


class Reaction:
    """One handler's `lost` function at work (`decisions.React`)."""

    def __init__(
        self,
        handler: Handler,
        lost: Lost,
        policy: Policy,
        verdicts: Verdicts,
        decisions: Decisions,
        *,
        threads: Threads | None,
        judge: Callable[[Delivered, BaseException], None],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        name = f"{handler.service}.{lost.name}"
        self.outputs = outputs = Outputs(handler, lost.outputs, name=name, effect=LOST)
        self._lost = lost
        self._timeout = policy.timeout
        self._threads = threads
        self._publisher = Publisher(
            outputs, decisions.of(outputs), verdicts, judge=judge, spawn=spawn
        )

    async def __call__(self, delivered: Delivered, mine: Any, stored: StoredMessage) -> None:
        """React, publish, acknowledge; whatever the function raises is raised."""
        lost, winner = self._lost, self._read(stored)
        delivered.began = perf_counter()

        def innermost(event: Struct, delivery: Delivery) -> Any:
            about = {lost.event: event, lost.delivery: delivery}
            return lost.function(mine, winner, **{name: v for name, v in about.items() if name})

        call = partial(wrapped(innermost, lost.wraps), delivered.event, LiveDelivery(delivered))
        result = await self._result(call)
        if delivered.held:
            # from here on its fate is that of the reaction's outputs
            delivered.durable = replace(delivered.durable, outcome=self._publisher)
            self._publisher.conclude(delivered, result)

    async def _result(self, call: Callable[[], Any]) -> Any:
        """What the function returns, called where such a handler would be."""
        if self._lost.is_async:
            async with asyncio.timeout(self._timeout):
                return await call()
        if self._threads is None:
            return call()
        result, failure = await self._threads.call(call)
        if failure is not None:
            raise failure
        return result

    def _read(self, stored: StoredMessage) -> Struct:
        """The outcome that stands.

        Raises:
            ContractViolation: it does not keep its contract.
            Reject: nobody declared it.
        """
        for spec in self._lost.stored:
            if any(matches(each, stored.subject) for each in spec.filters):
                try:
                    winner: Struct = reader_of(spec).read_stored(stored.payload, stored.headers)
                except Exception as error:
                    raise unreadable(spec, stored.payload, error) from error
                return winner
        raise Reject(f"{stored.subject} decided, which {self._lost.name} does not know")
