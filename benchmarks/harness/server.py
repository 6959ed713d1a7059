"""The broker's side of a measurement: fresh streams, a paused durable, what is stored."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from jetmesh import Service, derive
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.provision import apply, plan
from jetmesh.transport.stored import NOT_FOUND, ApiError

INPUT: Final = "PURCHASES"
OUTPUT: Final = "ORDERS"
_POLL_SECONDS: Final = 0.05


class StalledError(Exception):
    """Nothing moved for too long."""


class Server:
    """What the harness asks of the broker; every peer finds the same streams and durable."""

    def __init__(self, control: ControlPlane) -> None:
        self.control = control

    async def renew(self, service: Service) -> None:
        """Delete every stream and make those of `service` anew."""
        for name in (await self.control.api("STREAM.NAMES")).get("streams") or []:
            await self.control.api(f"STREAM.DELETE.{name}")
        await apply(self.control, await plan(self.control, derive([service])))

    async def durable(self, name: str) -> dict[str, Any]:
        """CONSUMER.INFO of a durable on the input stream."""
        return await self.control.api(f"CONSUMER.INFO.{INPUT}.{name}")

    async def stored(self, stream: str) -> int:
        """How many messages a stream holds; none when there is no such stream."""
        try:
            info = await self.control.api(f"STREAM.INFO.{stream}")
        except ApiError as error:
            if error.code == NOT_FOUND:
                return 0
            raise
        return int(info["state"]["messages"])

    async def pause(self, name: str) -> None:
        """Deliver nothing until `resume`; open pull requests wait."""
        until = datetime.now(UTC) + timedelta(hours=1)
        body = {"pause_until": until.isoformat().replace("+00:00", "Z")}
        await self.control.api(f"CONSUMER.PAUSE.{INPUT}.{name}", body)

    async def resume(self, name: str) -> None:
        """Deliver again, beginning with the next message that is stored.

        The server leaves requests that wait as they are until something wakes it: a heartbeat
        that is due, seconds later, or a new message.
        """
        await self.control.api(f"CONSUMER.PAUSE.{INPUT}.{name}", {})

    async def settled(
        self,
        name: str,
        upto: int,
        *,
        seconds: float,
        check: Callable[[], None],
        moved: Callable[[int], None] = lambda _: None,
    ) -> float:
        """Wait until everything up to the sequence `upto` is acked; returns when the last ack came.

        `seconds` without any progress raise StalledError; `check` raises when the peer died.
        """
        floor, since = -1, time.monotonic()
        while True:
            info = await self.durable(name)
            acked = int(info["ack_floor"]["stream_seq"])
            if acked >= upto:
                moved(acked)
                return _seconds(info["ack_floor"]["last_active"])
            if acked != floor:
                floor, since = acked, time.monotonic()
                moved(acked)
            if time.monotonic() - since > seconds:
                raise StalledError(f"{name} stays at {acked} of {upto} for {seconds:g} s")
            check()
            await asyncio.sleep(_POLL_SECONDS)


def _seconds(stamp: str) -> float:
    """Nanosecond RFC 3339 to seconds since the epoch, to the microsecond."""
    head, _, fraction = stamp.rstrip("Z").partition(".")
    moment = datetime.fromisoformat(head).replace(tzinfo=UTC)
    return moment.timestamp() + float(f"0.{fraction or 0}")
