"""Run one handler's deliveries: decode, call the function, judge what it raises."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from time import perf_counter
from typing import Any, Final

import msgspec

from jetmesh.declare import Handler, Policy, escape_key
from jetmesh.errors import Unavailable
from jetmesh.privacy.mask import masked, text_of
from jetmesh.runtime.message.decisions import Decisions, LookUp
from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.message.delivery import LiveDelivery
from jetmesh.runtime.message.letters import unreadable
from jetmesh.runtime.message.outage import Outage
from jetmesh.runtime.message.outputs import Outputs
from jetmesh.runtime.message.publisher import Publisher
from jetmesh.runtime.message.quarantine import Quarantine
from jetmesh.runtime.message.verdicts import Verdicts

_CANCEL_SECONDS: Final = 1.0
_EXCUSES: Final = 3
"""A delivery that called its dependency away so often, while another one worked, has failed."""


class HandlerRunner:
    """Runs deliveries when nothing speaks against it, now or later (`delivered.Runner`)."""

    def __init__(
        self,
        handler: Handler,
        policy: Policy,
        verdicts: Verdicts,
        *,
        look_up: LookUp,
        injected: Mapping[str, Any],
        quarantine: Quarantine,
        on_change: Callable[[], None],
    ) -> None:
        self.handler = handler
        self._quarantine = quarantine
        self.outage = Outage(f"{handler.service}.{handler.name}", policy, self, on_change)
        self.tasks: set[asyncio.Task[None]] = set()
        """Handlers at work."""
        self.stopping = False
        """What is cancelled from now on is given back, it did not fail."""
        outputs = Outputs(handler)
        self.decisions = Decisions(handler, outputs, verdicts, look_up)
        self.publisher = Publisher(
            outputs, self.decisions, verdicts, judge=self._judge, spawn=self._spawn
        )
        self.conclude = self.publisher.conclude
        self.decode = msgspec.json.Decoder(handler.input.type).decode
        self._verdicts = verdicts
        self._key = handler.input.key
        self._injected = dict(injected)
        self._slots = asyncio.Semaphore(policy.concurrency)
        self._timeout = policy.timeout

    # delivered.Runner

    def begin(self, delivered: Delivered) -> None:
        """Run a delivery now, or when nothing speaks against it any more."""
        if self._quarantine.active:
            self._quarantine.park(delivered, self)
        elif self.outage.reason:
            self.outage.wait(delivered)
        elif self.handler.is_async:
            self._spawn(self.run(delivered))
        else:
            self._run_inline(delivered)

    async def run(self, delivered: Delivered) -> None:
        """Run a delivery, whatever else is on; returns when its handler has."""
        if not self.handler.is_async:
            self._run_inline(delivered)
            return
        failure = self._read(delivered)
        if failure is not None:
            self.conclude(delivered, None, failure)
        else:
            await self._run_effect(delivered)

    def give_back(self, delivered: Delivered) -> None:
        """Return a delivery to the server as it came; it was no attempt."""
        self._verdicts.give_back(delivered)

    def dead_letter(self, delivered: Delivered, error: BaseException) -> None:
        """Give a delivery up without running it."""
        self._verdicts.dead_letter(delivered, error, masked(text_of(error)))

    # how

    def call(self, delivered: Delivered) -> Any:
        """Call the function with the event and all that it asks for."""
        handler = self.handler
        if handler.delivery is None:
            return handler.function(delivered.event, **self._injected)
        about = {handler.delivery: LiveDelivery(delivered)}
        return handler.function(delivered.event, **about, **self._injected)

    def _run_inline(self, delivered: Delivered) -> None:
        result, failure = None, self._read(delivered)
        if failure is None:
            try:
                result = self.call(delivered)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a handler raises ends in a verdict
                failure = error
        self.conclude(delivered, result, failure)

    async def _run_effect(self, delivered: Delivered) -> None:
        """Run an `async def` handler, unless its outcome is stored already."""
        result, failure = None, None
        try:
            async with self._slots:
                if await self.decisions.is_settled(delivered):
                    return
                delivered.began = perf_counter()
                async with asyncio.timeout(self._timeout):
                    result = await self.call(delivered)
        except asyncio.CancelledError as error:
            if not self.stopping:  # it cancelled itself: nobody else will settle it
                self._verdicts.failed(delivered, error)
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - as above
            failure = error
        self.conclude(delivered, result, failure)

    def _read(self, delivered: Delivered) -> BaseException | None:
        """Decode the event, unless it is one already; what speaks against handling it."""
        try:
            if delivered.event is None:
                delivered.event = self.decode(delivered.payload)
            if self._key is not None:
                escape_key(getattr(delivered.event, self._key))
            self._verdicts.check(delivered)  # once it is known what the letter is about
        except Exception as error:  # noqa: BLE001 - as above
            return error
        return None

    def _judge(self, delivered: Delivered, failure: BaseException) -> None:
        """An outage is nobody's failure, unless it turned out too often that others work."""
        if isinstance(failure, Unavailable) and delivered.excuses < _EXCUSES:
            self.outage.report(delivered, masked(text_of(failure), delivered.event))
            return
        if delivered.event is None:
            failure = unreadable(self.handler.input, delivered.payload, failure)
        self._verdicts.failed(delivered, failure)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    # lifecycle

    async def stop(self) -> None:
        """Give back what waits for a dependency."""
        self.stopping = True
        await self.outage.stop()

    async def cancel(self) -> None:
        """Cancel what still runs."""
        for task in list(self.tasks):
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=_CANCEL_SECONDS)
