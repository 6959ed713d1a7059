"""What a service is made of, traced or not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from jetmesh.runtime.message.runner import HandlerRunner
from jetmesh.runtime.message.states.moving import ProcessRunner
from jetmesh.runtime.message.states.remembering import StateRunner
from jetmesh.runtime.message.states.steps import Steps
from jetmesh.transport.dataplane import DataPlane

_CLOSE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that differ; nothing looks for tracing while it runs."""

    plane: Callable[..., DataPlane]
    runner: Callable[..., HandlerRunner]
    close: Callable[[], None] | None = None
    """Send what was not sent yet; it blocks, at most for the exporter's time limit."""
    rememberer: Callable[..., StateRunner] = StateRunner
    mover: Callable[..., StateRunner] = ProcessRunner
    steps: type[Steps] = Steps

    async def end(self) -> None:
        """Close, and wait for that as long as an end may take."""
        if self.close is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await asyncio.to_thread(self.close)


UNTRACED: Final = Parts(DataPlane, HandlerRunner)
