"""A pull against a server that does exactly what a test tells it to, by a clock of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass

from jetmesh.transport.pull import Pull

SWEEP = 0.25
SMALL = 100
"""Bytes of a message, as the server counts them."""
NO_PENDING = -1


@dataclass
class Asked:
    """A request as the server sees it."""

    reply: bytes
    left: int
    beat_at: float
    until: float
    bytes_left: int
    """0 when the request does not bound them."""
    heartbeat: float


class Server:
    """Reads the frames of a pull, holds its requests, and answers when told to."""

    def __init__(self, limit: int = 8, *, gone: list[str] | None = None, first: int = 0) -> None:
        self.now = 100.0
        self.connected = True
        self.congested = False
        self.stopped = False
        """Neither reads nor writes, as under SIGSTOP."""
        self.frames: list[bytes] = []
        self.unread: list[bytes] = []
        self.open: list[Asked] = []
        self.asked: list[int] = []
        """The batch of every request, in order."""
        self.interest = b""
        self.delivered = 0
        self.beats = 0
        """Heartbeats that were sent."""
        self.unsettled = 0
        self.limit = limit
        self.told: list[str] = []
        """Why verdicts are refused, as often as it was said; empty when they are taken."""
        self.pull = Pull(
            "ORDERS",
            "payments",
            sid=b"1",
            inbox=b"_INBOX.x.1",
            limit=limit,
            first=first,
            on_delivery=self._on_delivery,
            send=self._on_frame,
            clock=lambda: self.now,
            ready=lambda: self.connected and not self.congested,
            on_gone=None if gone is None else gone.append,
            on_muted=lambda: self.told.append(self.pull.muted),
        )

    # what the pull does

    def _on_delivery(self, *_: bytes) -> None:
        self.unsettled += 1

    def _on_frame(self, data: bytes) -> None:
        if self.connected:
            self.frames.append(data)
            self.unread.append(data)
            if not self.stopped:
                self.read()

    def read(self) -> None:
        lines = b"".join(self.unread).split(b"\r\n")
        self.unread.clear()
        while lines:
            verb, *fields = lines.pop(0).split(b" ") or [b""]
            if verb == b"UNSUB":
                self.interest = b""
                self.open.clear()
            elif verb == b"SUB":
                self.interest = fields[0].removesuffix(b"*")
            elif verb == b"PUB" and (body := lines.pop(0)) != b"+WPI":
                self._take(fields, json.loads(body))

    def _take(self, fields: list[bytes], body: dict[str, int]) -> None:
        assert fields[0] == b"$JS.API.CONSUMER.MSG.NEXT.ORDERS.payments"
        assert fields[1].startswith(self.interest)
        assert body["idle_heartbeat"] * 2 <= body["expires"], "the server refuses it with 400"
        self.asked.append(body["batch"])
        heartbeat = body["idle_heartbeat"] / 1e9
        until = self.now + body["expires"] / 1e9
        bound = body.get("max_bytes", 0)
        beat_at = self.now + heartbeat
        self.open.append(Asked(fields[1], body["batch"], beat_at, until, bound, heartbeat))

    # what the server does

    @property
    def outstanding(self) -> int:
        """Deliveries that the server may still send."""
        return sum(request.left for request in self.open)

    def deliver(self, times: int = 1, *, request: int = 0, size: int = SMALL) -> None:
        for _ in range(times):
            while self.open and 0 < self.open[request % len(self.open)].bytes_left < size:
                self.end("409 Message Size Exceeds MaxBytes", request=request)
            if not self.open:
                return
            each = self.open[request % len(self.open)]
            each.left -= 1
            each.beat_at = self.now + each.heartbeat
            self.late()
            if each.bytes_left:
                each.bytes_left -= size
            if not each.left and each in self.open:
                self.open.remove(each)
                if each.bytes_left:  # else it is complete without a word
                    self.say(each.reply, "409 Batch Completed", 0, each.bytes_left)

    def late(self) -> None:
        """Send a delivery that belongs to no open request (any more)."""
        self.delivered += 1
        reply = b"$JS.ACK.ORDERS.payments.1.%d.%d.1.0" % (self.delivered, self.delivered)
        self.pull.on_message(b"orders.validated.p-1", reply, b"", b"{}")

    def settle(self, times: int = 1) -> None:
        for _ in range(min(times, self.unsettled)):
            self.unsettled -= 1
            self.pull.settled()

    def end(self, status: str, pending: int | None = None, *, request: int = 0) -> bytes:
        """Close a request with a status; `pending` as the server counts it unless given."""
        each = self.open.pop(request % len(self.open))
        self.say(each.reply, status, each.left if pending is None else pending, each.bytes_left)
        return each.reply

    def say(
        self, reply: bytes, status: str, pending: int = NO_PENDING, bytes_left: int = 0
    ) -> None:
        lines = f"NATS/1.0 {status}\r\n"
        if pending != NO_PENDING:
            lines += f"Nats-Pending-Messages: {pending}\r\n"
            lines += f"Nats-Pending-Bytes: {bytes_left}\r\n"
        self.pull.on_message(reply, b"", f"{lines}\r\n".encode(), b"")

    def lose(self) -> None:
        """Forget every request without a word, as a killed server does."""
        self.open.clear()

    def advance(self, seconds: float, *, beating: bool = True) -> None:
        """Let time pass, with sweeps, heartbeats and expiry."""
        for _ in range(round(seconds / SWEEP)):
            self.now += SWEEP
            if not self.stopped:
                for each in list(self.open):
                    if each.until <= self.now:
                        self.end("408 Request Timeout", request=self.open.index(each))
                    elif each.beat_at <= self.now and beating:
                        each.beat_at = self.now + each.heartbeat
                        self.beats += 1
                        self.say(each.reply, "100 Idle Heartbeat")
            if self.connected:
                self.pull.sweep()

    def reconnect(self) -> None:
        self.connected = True
        self.stopped = False
        self.unread.clear()
        self.open.clear()
        self.pull.reconnected()

    def disconnect(self) -> None:
        self.connected = False
        self.open.clear()


def started(limit: int = 8, *, gone: list[str] | None = None, first: int = 0) -> Server:
    server = Server(limit, gone=gone, first=first)
    server.pull.start()
    return server
