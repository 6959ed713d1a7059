"""What one durable for the lanes of two handlers would do, while one of them stands still.

`python -m harness.one_durable WAY COUNT`: so many messages are due for a handler that takes none,
then one for another. How long does that take to come? (ADR-0031)

- `own`: a durable for each, as it is.
- `off`: one for both; what the first one cannot take is put off, with a NAK and a delay.
- `back`: one for both; it is stored again with a schedule, then acked.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from harness.child import cpu_seconds, memory_mib
from harness.contenders import CACHE
from jetmesh import wire
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol import headers as header
from jetmesh.protocol.lanes import Origin, schedule
from jetmesh.protocol.subjects import lane_subject, retry_subject
from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.dataplane import DataPlane
from jetmesh.transport.seam import Message

_STREAM: Final = "LANES_svc"
_PAUSE_SECONDS: Final = 600.0
_WINDOW: Final = 512
_AT_ONCE: Final = 2000
_PAYLOAD: Final = b"x" * 300


class _Stored:
    """Counts what is stored (`seam.Waiter`), and may ack what it was made of."""

    def __init__(self, measured: Measured, reply: bytes = b"") -> None:
        self._measured, self._reply = measured, reply

    def on_stored(self, _: bytes) -> None:
        self._measured.stored += 1
        if self._reply:
            self._measured.plane.ack(self._reply)
            self._measured.pull.settled()

    def on_duplicate(self, _: Message, __: int) -> None:
        raise RuntimeError("every message has an id of its own")

    def on_decided(self) -> None:
        raise RuntimeError("nothing is guarded")

    def on_impossible(self, reason: str) -> None:
        raise RuntimeError(reason)


class Measured:
    """One way, once."""

    def __init__(self, way: str, plane: DataPlane, control: ControlPlane) -> None:
        self.way, self.plane, self._control = way, plane, control
        self.stored = self.delivered = 0
        self.came = asyncio.Event()
        name = "second" if way == "own" else "both"
        self.pull = plane.inflow(_STREAM, name, limit=_WINDOW, on_delivery=self._arrive)

    async def prepare(self, count: int) -> None:
        """Make what is needed, and store what is due."""
        stream = {"name": _STREAM, "subjects": ["lanes.svc.>"], "allow_msg_schedules": True}
        await self._control.api(f"STREAM.CREATE.{_STREAM}", stream)
        for name in ("first", "second") if self.way == "own" else ("both",):
            whose = "*" if name == "both" else name
            config = {
                "durable_name": name,
                "ack_policy": "explicit",
                "filter_subjects": [lane_subject("svc", whose, "*")],
                "max_ack_pending": -1,
            }
            body = {"stream_name": _STREAM, "config": config}
            await self._control.api(f"CONSUMER.CREATE.{_STREAM}.{name}", body)
        for number in range(count):
            self._put(lane_subject("svc", "first", "k"), _origin(number).headers(), _Stored(self))
            while number - self.stored > _AT_ONCE:  # noqa: ASYNC110 - an event would cost every message
                await asyncio.sleep(0.001)
        self._put(lane_subject("svc", "second", "k"), _origin(count).headers(), _Stored(self))
        while self.stored <= count:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)

    def _put(self, subject: str, headers: dict[str, str], waiter: _Stored) -> None:
        self.plane.publish(subject.encode(), wire.block(headers), _PAYLOAD, waiter)

    def _arrive(self, subject: bytes, reply: bytes, headers: bytes, _: bytes) -> None:
        self.delivered += 1
        if b".second." in subject:
            self.plane.ack(reply)
            self.came.set()
        elif self.way == "off":
            self.plane.retry(reply, _PAUSE_SECONDS)
            self.pull.settled()
        else:
            origin = _origin(int(wire.parse(headers).values[header.SEQUENCE]))
            at = datetime.now(UTC) + timedelta(seconds=_PAUSE_SECONDS)
            given = {**origin.headers(), **schedule(lane_subject("svc", "first", "k"), at)}
            given[header.MESSAGE_ID] = f"svc.first:{origin.token}"
            self._put(retry_subject("svc", "first", origin), given, _Stored(self, reply))


def _origin(number: int) -> Origin:
    return Origin("purchases.created.k", "PURCHASES", str(number), 1_764_460_000_000_000_000)


async def measure(way: str, count: int) -> dict[str, Any]:
    """Seconds until the other one's message comes, of the clock and of CPU, and memory in MiB."""
    CACHE.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=CACHE) as folder,
        Broker(Path(folder) / "store") as broker,
    ):
        nats = NatsSettings(url=broker.url)
        async with (
            DataPlane(nats, name="bench") as plane,
            await ControlPlane.connect(nats, name="bench control") as control,
        ):
            measured = Measured(way, plane, control)
            await measured.prepare(count)
            memory = memory_mib(broker.pid)["rss"]
            began, server, client = time.monotonic(), cpu_seconds(broker.pid), time.process_time()
            measured.pull.start()
            await measured.came.wait()
            return {
                "way": way,
                "count": count,
                "delivered": measured.delivered,
                "seconds": round(time.monotonic() - began, 3),
                "client_cpu": round(time.process_time() - client, 3),
                "server_cpu": round(cpu_seconds(broker.pid) - server, 3),
                "server_mib": round(memory_mib(broker.pid)["rss"] - memory, 1),
            }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(sys.argv[1], int(sys.argv[2])))))
