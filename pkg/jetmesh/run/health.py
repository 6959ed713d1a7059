"""Health means progress: connected, every durable there as declared, and its ack floor moving."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import Any, Final

import structlog

from jetmesh.declare import DurableSpec
from jetmesh.errors import BrokerError
from jetmesh.run.consumer import Consumer
from jetmesh.run.mask import text_of
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.provision import durable_difference

_LOOK_SECONDS: Final = 3.0
STALL_SECONDS: Final = 60.0
"""An ack floor that stands still for a handler's timeout and so long, with messages waiting, is
no progress."""

log = structlog.get_logger()


class Health:
    """What keeps a service from working, in words."""

    def __init__(self) -> None:
        self.starting = "starting"
        """The step of the start that is not done; empty once it runs."""
        self.sources: list[Any] = []
        """Whatever has a `problem` of its own: the data plane, pulls, histories, watches."""

    def problems(self) -> list[str]:
        """Everything that is wrong now; ready when there is nothing."""
        found = [self.starting] if self.starting else []
        return found + [source.problem for source in self.sources if source.problem]


class DurableWatch:
    """Looks at one durable from time to time: is it there, as declared, and does it move?"""

    def __init__(self, spec: DurableSpec, consumer: Consumer, control: ControlPlane) -> None:
        self._spec = spec
        self._consumer = consumer
        self._control = control
        self._found = ""
        self._progress = (-1, -1)
        self._moved_at = monotonic()

    @property
    def problem(self) -> str:
        return self._found or self._consumer.unstorable

    async def look(self) -> None:
        """Ask the server once."""
        spec = self._spec
        try:
            info = await self._control.api(f"CONSUMER.INFO.{spec.stream}.{spec.name}")
            difference = durable_difference(spec, info["config"])
            self._consumer.stats.lag = info["num_pending"] + info["num_ack_pending"]
            self._found = difference or self._stall(info, info["num_pending"])
        except BrokerError as error:
            self._found = f"durable {spec.name} on {spec.stream}: {error}"

    def _stall(self, info: dict[str, Any], waiting: int) -> str:
        """Only what nobody has taken yet counts: a long handler or a late retry is no stall."""
        now = monotonic()
        progress = (info["ack_floor"]["stream_seq"], self._consumer.stats.acked)
        if progress != self._progress or not waiting:
            self._progress = progress
            self._moved_at = now
        standing = now - self._moved_at
        if standing < STALL_SECONDS + self._spec.policy.timeout:
            return ""
        return (
            f"durable {self._spec.name} on {self._spec.stream} stands still for {standing:.0f} s "
            f"with {waiting} messages waiting"
        )


async def watch(watches: Sequence[DurableWatch], interval: float = _LOOK_SECONDS) -> None:
    """Look at every durable, for ever, whatever one look ends in."""
    while True:
        for each in watches:
            try:
                await each.look()
            except Exception as error:  # noqa: BLE001 - a watch that died would say "ready" for ever
                log.error("health not known", error=type(error).__name__, message=text_of(error))  # noqa: TRY400 - one line every three seconds is enough
        await asyncio.sleep(interval)
