"""Continuous pull from one durable: overlapping requests, every status acted on.

What the server says and what it leaves unsaid was measured (docs/adr/0005-continuous-pull.md):
a completed request ends silently, a lost one too, and a terminal status may overtake the
messages that it ends. So requests are only counted, and silence is told by missed heartbeats.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from jetmesh import wire
from jetmesh.transport.seam import OnDelivery

EXPIRES_SECONDS: Final = 30.0
HEARTBEAT_SECONDS: Final = 0.75
_SILENT_SECONDS: Final = 1.6
"""Two heartbeats and a bit: the requests are dead, whatever the server did not tell."""
_ERROR_PAUSE: Final = 0.5

_HEARTBEAT, _NO_MESSAGES, _EXPIRED, _CONFLICT, _NO_RESPONDERS = 100, 404, 408, 409, 503


class _Request:
    __slots__ = ("asked", "until")

    def __init__(self, asked: int, until: float) -> None:
        self.asked = asked
        self.until = until


class Pull:
    """Keeps `limit` deliveries asked for or unsettled, refilled when there is room for a part.

    `load` counts both together, so that a delivery changes nothing and only a verdict, which
    makes room, has to look whether to ask for more.
    """

    def __init__(  # noqa: PLR0913 - what a pull needs of its connection, by name
        self,
        stream: str,
        durable: str,
        *,
        sid: bytes,
        inbox: bytes,
        limit: int,
        on_delivery: OnDelivery,
        send: Callable[[bytes], None],
        clock: Callable[[], float],
        ready: Callable[[], bool],
        on_gone: Callable[[str], None] | None = None,
    ) -> None:
        self.sid = sid
        self.subject = inbox + b".*"
        self.problem = f"durable {durable!r} on {stream} has not answered yet"
        self.pulling = False
        self._stream = stream
        self._durable = durable
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}".encode()
        self._inbox = inbox
        self._limit = limit
        self._low = limit - max(1, limit // 2 if limit >= 256 else limit // 4)  # noqa: PLR2004 - small limits are refilled sooner, they run dry sooner
        self._on_delivery = on_delivery
        self._send = send
        self._clock = clock
        self._ready = ready
        self._on_gone = on_gone
        self._load = 0
        self._unsettled = 0
        self._count = 0
        self._requests: dict[bytes, _Request] = {}
        self._heard = False
        self._heard_at = clock()
        self._not_before = 0.0

    def start(self) -> None:
        """Begin to pull, or begin anew: after a reconnect every request is dead."""
        self.pulling = True
        self._forget_requests()
        self.refill()

    def stop(self) -> None:
        """Ask for nothing more, and withdraw what was asked for.

        What the server sent before it reads this still arrives.
        """
        self.pulling = False
        self._send(wire.unsub(self.sid))

    def settled(self) -> None:
        """A delivery has its verdict."""
        self._unsettled -= 1
        self._load = load = self._load - 1
        if load <= self._low:
            self.refill()

    def refill(self) -> None:
        """Ask for what there is room for, when that is a part worth asking for."""
        if not self.pulling or self._load > self._low or not self._ready():
            return
        now = self._clock()
        if now < self._not_before:
            return
        asked = self._limit - self._load
        self._count += 1
        number = b"%d" % self._count
        body = {
            "batch": asked,
            "expires": int(EXPIRES_SECONDS * 1e9),
            "idle_heartbeat": int(HEARTBEAT_SECONDS * 1e9),
        }
        if not self._requests:
            self._heard_at = now
        self._requests[number] = _Request(asked, now + EXPIRES_SECONDS + 1)
        self._load += asked
        self._send(wire.pub(self._next, json.dumps(body).encode(), self._inbox + b"." + number))

    def on_message(self, subject: bytes, reply: bytes, headers: bytes, payload: bytes) -> None:
        """A delivery, or a status of one of our requests."""
        if not reply:
            self._on_status(subject, headers)
            return
        self._unsettled += 1
        if self._unsettled > self._load:  # noqa: PLR1730 - max() costs a call per message
            self._load = self._unsettled  # it came after its request was closed
        self._heard = True
        self._on_delivery(subject, reply, headers, payload)

    def sweep(self) -> None:
        """Notice silence and expiry; call it a few times a second."""
        now = self._clock()
        if self._heard:
            self._heard = False
            self._heard_at = now
        if self._load > self._unsettled and now - self._heard_at > _SILENT_SECONDS:
            self.problem = f"durable {self._durable!r} on {self._stream} is silent"
            self._forget_requests()
        for number in [n for n, r in self._requests.items() if r.until < now]:
            del self._requests[number]
        self._clamp()
        self.refill()

    def _on_status(self, subject: bytes, headers: bytes) -> None:
        number = subject[len(self._inbox) + 1 :]
        request = self._requests.get(number)
        status = wire.parse(headers)
        if request is None:
            return  # closed already: what it still says is stale
        if status.status == _HEARTBEAT:
            self._heard_at = self._clock()
            self.problem = ""
            return
        del self._requests[number]
        pending = status.values.get("Nats-Pending-Messages", "")
        if pending.isdecimal():
            self._load = max(self._unsettled, self._load - int(pending))
        self._clamp()
        self._judge(status)
        self.refill()

    def _judge(self, status: wire.Headers) -> None:
        """What a closed request says about its durable."""
        if status.status in (_EXPIRED, _NO_MESSAGES):
            self.problem = ""
            return
        said = status.description or ("no answer" if status.status == _NO_RESPONDERS else "")
        self._not_before = self._clock() + _ERROR_PAUSE
        self.problem = f"durable {self._durable!r} on {self._stream}: {said} ({status.status})"
        gone = status.status == _NO_RESPONDERS or "Deleted" in said
        if gone and self._on_gone is not None:
            self._on_gone(self.problem)

    def _clamp(self) -> None:
        """No more can be on its way than the requests that are still open asked for."""
        open_requests = sum(request.asked for request in self._requests.values())
        self._load = min(self._load, self._unsettled + open_requests)

    def _forget_requests(self) -> None:
        self._requests.clear()
        self._load = self._unsettled
        self._heard_at = self._clock()
