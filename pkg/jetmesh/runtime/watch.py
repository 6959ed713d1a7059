"""Durables under a running service: checked from time to time, and made again where that is ours.

A durable that is lost is made again by the service itself only in development, behind what it had
acked. A stream never is: whoever deletes one means it, or has to know.

A durable at rest is looked at ten times less often: while nothing arrives, nothing is pending and
the pull is heard of, there is hardly anything to find, and many processes may look (ADR-0031).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import datetime
from time import monotonic
from typing import Any, Final

import structlog

from jetmesh.declare import DurableSpec
from jetmesh.errors import BrokerError
from jetmesh.privacy.mask import name_of, text_of
from jetmesh.runtime.message.consumer import Consumer
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.provision import durable_change, make
from jetmesh.transport.stored import NO_DURABLE, NO_STREAM, ApiError, time_of

_CHECK_SECONDS: Final = 3.0
_REST_SECONDS: Final = 30.0

log = structlog.get_logger()


class DurableWatch:
    """Checks one durable: is it there, as declared, and does it move?"""

    def __init__(
        self,
        spec: DurableSpec,
        consumer: Consumer,
        control: ControlPlane,
        *,
        applies: bool,
        known: dict[str, Any] | None = None,
    ) -> None:
        """`known` is what the server said of it when the service started."""
        self._spec = spec
        self._consumer = consumer
        self._inflow = consumer.lane if spec.lane else consumer.inflow
        self._due_at = 0.0
        """When it is looked at although it is at rest."""
        self._control = control
        self._applies = applies
        self._text = f"durable {spec.name} on {spec.stream}"
        self._found = ""
        self._lag = 0
        self._forgotten = 0
        """Up to here the lane's messages are settled and removed."""
        self._floor: int | None = None
        """The last known ack floor; None as long as the durable was never seen."""
        self._seen_at: datetime | None = None
        self._progress = (-1, -1)
        self._moved_at = monotonic()
        if known:
            self._remember(known)

    @property
    def problem(self) -> str:
        return self._found

    @property
    def is_due(self) -> bool:
        """Whether something may have changed since the last look, or it is long ago."""
        at_rest = self._inflow.rests and not self._found and not self._lag
        return not at_rest or monotonic() >= self._due_at

    async def check(self) -> None:
        """Ask the server once, and mend what may be mended."""
        self._due_at = monotonic() + _REST_SECONDS * random.uniform(0.9, 1.1)  # noqa: S311 - jitter is no secret
        try:
            self._found = await self._problem()
        except BrokerError as error:
            self._found = f"{self._text}: {error}"
        except Exception as error:
            # what was found before may be over, or hide something new
            self._found = f"{self._text}: its health is not known ({name_of(error)})"
            raise

    async def _problem(self) -> str:
        spec = self._spec
        try:
            info = await self._control.api(f"CONSUMER.INFO.{spec.stream}.{spec.name}")
        except ApiError as error:
            if error.err_code == NO_STREAM:
                return (
                    f"there is no stream {spec.stream} any more, and what it held is lost; "
                    "only jetmesh apply makes it again"
                )
            if error.err_code == NO_DURABLE:
                return await self._lost()
            raise
        self._remember(info)
        if spec.lane:
            await self._forget_settled(info["ack_floor"]["stream_seq"])
        return await self._drift(info["config"]) or self._stall(info)

    def _remember(self, info: dict[str, Any]) -> None:
        self._floor = info["ack_floor"]["stream_seq"]
        self._seen_at = time_of(info["ts"])
        lag = info["num_pending"] + info["num_ack_pending"]
        self._consumer.stats.lag += lag - self._lag  # a handler has two durables
        self._lag = lag

    async def _forget_settled(self, floor: int) -> None:
        """Remove from the lane what has its verdict: a stream with schedules keeps everything."""
        if floor < self._forgotten:  # the stream was made again
            self._forgotten = 0
        if floor > self._forgotten:
            (lane,) = self._spec.filters
            await self._control.forget(self._spec.stream, lane, before=floor + 1)
            self._forgotten = floor

    async def _lost(self) -> str:
        """The durable is gone, its stream is not."""
        if not self._applies:
            name, floor = f"{self._spec.stream}/{self._spec.name}", self._floor
            come = "" if floor is None else f", it had acked up to {floor}"
            option = "" if floor is None else f" --behind {name}={floor}"
            return f"there is no {self._text} any more{come}; jetmesh apply{option} makes it again"
        behind = await self._behind()
        if change := durable_change(self._spec, None, behind):
            await make(self._control, change)
        log.warning(
            "durable was deleted, made it again",
            durable=self._spec.name,
            stream=self._spec.stream,
            behind=behind,
            note="what was acked out of order above that comes again",
        )
        return ""

    async def _behind(self) -> int | None:
        """Up to where the lost durable had acked; nothing of a stream that is a new one."""
        if self._floor is None or self._seen_at is None:
            return None
        stream = await self._control.api(f"STREAM.INFO.{self._spec.stream}")
        return self._floor if time_of(stream["created"]) <= self._seen_at else 0

    async def _drift(self, config: dict[str, Any]) -> str:
        change = durable_change(self._spec, config)
        if change is None:
            return ""
        if self._applies and change.action == "update":
            await make(self._control, change)
            log.warning("durable was changed, changed it back", difference=str(change))
            return ""
        return f"the server differs from the declaration: {change}; run jetmesh apply"

    def _stall(self, info: dict[str, Any]) -> str:
        """Only what nobody has taken yet counts: a long handler or a late retry is no stall."""
        now = monotonic()
        progress = (info["ack_floor"]["stream_seq"], info["delivered"]["stream_seq"])
        waiting = info["num_pending"]
        if progress != self._progress or not waiting:
            self._progress = progress
            self._moved_at = now
        standing = now - self._moved_at
        if standing < self._spec.stall_seconds:
            return ""
        return f"{self._text} stands still for {standing:.0f} s with {waiting} messages waiting"


async def watch(watches: Sequence[DurableWatch], interval: float = _CHECK_SECONDS) -> None:
    """Check every durable that is due, for ever, whatever one check ends in.

    The start has looked at them just now, so not at once.
    """
    await asyncio.sleep(interval * random.random())  # noqa: S311 - jitter is no secret
    while True:
        for each in (each for each in watches if each.is_due):
            try:
                await each.check()
            except Exception as error:  # noqa: BLE001 - a watch that died would say "ready" for ever
                log.error("health not known", error=name_of(error), message=text_of(error))  # noqa: TRY400 - one line every three seconds is enough
        # many processes that started together are not to ask together for ever
        await asyncio.sleep(interval * random.uniform(0.9, 1.1))  # noqa: S311 - as above
