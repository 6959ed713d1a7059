"""Continuous pull from one durable: overlapping requests, every status acted on.

What the server says and what it leaves unsaid was measured (docs/adr/0005-continuous-pull.md):
a lost request ends silently, and a terminal status may overtake the messages that it ends. So
requests are only counted, and silence is told by missed heartbeats.

What is in flight is bounded in bytes too, without counting them here: a request says how many
it may bring, and its end how many they were. From that follows how large messages are, and how
many of them fit.

A pull may begin with few, and then asks for twice as many each time some have their verdicts: who
receives them may turn out to be slow, and say with `limit_to` how many it can finish in time.

A durable that brought nothing for the whole time of a request is at rest: its next requests are
to be heard of less often, so that what does nothing costs next to nothing (ADR-0031).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog

from jetmesh import wire
from jetmesh.privacy.mask import printable
from jetmesh.protocol.acks import is_ack
from jetmesh.protocol.headers import PENDING_BYTES, PENDING_MESSAGES
from jetmesh.protocol.streams import JS_API
from jetmesh.transport.seam import OnDelivery

EXPIRES_SECONDS: Final = 30.0
HEARTBEAT_SECONDS: Final = 0.75
REST_HEARTBEAT_SECONDS: Final = 3.0
"""Between two heartbeats of a request of a durable at rest."""
SILENT_HEARTBEATS: Final = 2.15
"""Two heartbeats and a bit: the request is dead, whatever the server did not tell."""
SILENT_SECONDS: Final = HEARTBEAT_SECONDS * SILENT_HEARTBEATS
MOST_BYTES: Final = 16 * 1024 * 1024
"""About what may be asked for or unsettled at a time; at least one message always is."""
REQUEST_BYTES: Final = MOST_BYTES // 2
_LARGE: Final = 256
ERROR_PAUSE: Final = 0.5
_TELL_STRAYS_SECONDS: Final = 60.0
_SHOWN: Final = 200
DENIED_PAUSE: Final = 2.0

_HEARTBEAT, _NO_MESSAGES, _EXPIRED, _CONFLICT, _NO_RESPONDERS = 100, 404, 408, 409, 503
_TIMES: Final = b'"expires":%d,"idle_heartbeat":%d'
_BYTES: Final = b',"max_bytes":%d' % REQUEST_BYTES
_COMPLETE: Final = ("Batch Completed", "Message Size Exceeds MaxBytes")
"""Conflicts that are none: the request brought as many messages, or bytes, as it could."""
_FORGET: Final = 0.25
"""How much of the size that is expected of messages each smaller measure takes away."""

log = structlog.get_logger()


class _Request:
    __slots__ = ("alive_at", "asked", "began", "heartbeat")

    def __init__(self, asked: int, now: float, heartbeat: float) -> None:
        self.asked = asked
        self.began = self.alive_at = now
        self.heartbeat = heartbeat

    def is_dead(self, now: float, delivered_at: float) -> bool:
        """Whether it expired, or is silent while nothing is delivered."""
        silent = now - self.heartbeat * SILENT_HEARTBEATS
        expired = self.began + EXPIRES_SECONDS + 1 < now
        return expired or max(self.alive_at, delivered_at) < silent

    @property
    def times(self) -> bytes:
        """How long it lasts and how often it is heard of, as the server is told."""
        return _TIMES % (int(EXPIRES_SECONDS * 1e9), int(self.heartbeat * 1e9))


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
        first: int = 0,
        on_delivery: OnDelivery,
        send: Callable[[bytes], None],
        clock: Callable[[], float],
        ready: Callable[[], bool],
        on_gone: Callable[[str], None] | None = None,
        on_muted: Callable[[], None] | None = None,
        js_api: str = JS_API,
    ) -> None:
        self.sid = sid
        self.durable = stream, durable
        self.asks_on = f"{js_api}.CONSUMER.MSG.NEXT.{stream}.{durable}"
        self.strays = 0
        """Messages on the inbox that the durable did not deliver."""
        self._tell_stray_at = 0.0
        self.muted = ""
        """Why verdicts are refused, in words: nothing is asked for until they are taken again."""
        self.pulling = False
        self._said = ""
        self._stream = stream
        self._durable = durable
        self._next = self.asks_on.encode()
        self._base = self._inbox = inbox
        self._turn = 0
        self._widest = self._allowed = limit
        self._grown = min(limit, first or limit)
        self._size = 0.0
        """Bytes that a message is expected to have."""
        self._single = False
        """The next message is larger than a request may bring: ask for it alone."""
        self._set_limit()
        self._on_delivery = on_delivery
        self._send = send
        self._clock = clock
        self._ready = ready
        self._on_gone = on_gone
        self._on_muted = on_muted or (lambda: None)
        self._refused = b""
        """The newest verdict that was refused: what it was sent to."""
        self._is_refused = False
        """The newest question whether verdicts are taken was refused."""
        self._load = 0
        self._unsettled = 0
        self._count = 0
        self._requests: dict[bytes, _Request] = {}
        self._heard = False
        self._rests = False
        """It brought nothing for the whole time of a request, and nothing since."""
        self._delivered_at = self._closed_at = clock()
        self._not_before = 0.0

    @property
    def problem(self) -> str:
        """Why nothing can arrive, in words; empty when all is well."""
        return self.muted or self._said

    @property
    def rests(self) -> bool:
        """Whether it brought nothing for the whole time of a request, and nothing since."""
        return self._rests and not self._heard and not self.problem

    def start(self) -> None:
        """Begin to pull, or begin anew: after a reconnect every request is dead."""
        self.pulling = True
        self._not_before = 0.0
        self._begin_anew()
        self.refill()

    def reconnected(self) -> None:
        """Pull on a new connection, unless the owner has to begin anew itself."""
        if self._on_gone is None:
            self.start()
        else:
            self._on_gone("the connection is new: what was on its way may be lost")

    def withdraw(self) -> None:
        """Take back what was asked for; what the server sent already still arrives."""
        self._send(wire.unsub(self.sid))
        self._forget_requests()

    def stop(self) -> None:
        """Ask for nothing more, and withdraw what was asked for."""
        self.pulling = False
        self.withdraw()

    def denied(self, problem: str) -> None:
        """The broker's user may not ask: say so, and ask again only now and then."""
        self._forget_requests()
        self._not_before = self._clock() + DENIED_PAUSE
        self._heard = False
        self._said = problem

    def mute(self, reason: str, refused: bytes) -> None:
        """The broker's user may not settle: what was delivered would only come again and again.

        What was asked for is withdrawn, and what still arrives is kept by who receives it.
        """
        self._refused = refused
        self._is_refused = True
        if not self.muted:
            self.muted = reason
            self.withdraw()
            self._on_muted()

    def ask_for_verdicts(self) -> None:
        """Send a verdict that changes nothing; `mute` follows when it is refused."""
        self._is_refused = False
        self._send(wire.pub(self._refused, b"+WPI"))

    def unmute(self) -> bool:
        """Go on, unless the last question was refused."""
        if not self.muted or self._is_refused:
            return False
        self.muted = ""
        if self.pulling:
            self.start()
        self._on_muted()
        return True

    def limit_to(self, limit: int) -> None:
        """Have at most `limit` deliveries asked for or unsettled, and no more than at first."""
        self._allowed = min(limit, self._widest)
        self._set_limit()
        if self._load > self._limit and self._requests and self.pulling and self._ready():
            self._begin_anew()
        self.refill()

    def check(self, reply: bytes) -> None:
        """Raises ValueError: no verdict on a delivery of this durable is sent there."""
        if not is_ack(reply, *self.durable):
            raise ValueError(reply)

    def settled(self) -> None:
        """A delivery has its verdict."""
        self._unsettled -= 1
        self._load = load = self._load - 1
        if load <= self._low:
            self.refill()

    def refill(self) -> None:
        """Ask for what there is room for, when that is a part worth asking for."""
        enough = self._limit - 1 if self._said else self._low  # or a problem would outlive its end
        if not self.pulling or self.muted or self._load > enough or not self._ready():
            return
        now = self._clock()
        if now < self._not_before:
            return
        if self._count and self._grown < self._widest:
            self._grown = min(2 * self._grown, self._widest)
            self._set_limit()
        asked = 1 if self._single else self._limit - self._load
        bound = b"" if self._single else _BYTES
        self._single = False
        self._count += 1
        number = b"%d" % self._count
        heartbeat = REST_HEARTBEAT_SECONDS if self.rests else HEARTBEAT_SECONDS
        self._requests[number] = request = _Request(asked, now, heartbeat)
        self._load += asked
        body = b'{"batch":%d,%b%b}' % (asked, request.times, bound)
        self._send(wire.pub(self._next, body, self._inbox + b"." + number))

    def on_message(self, subject: bytes, reply: bytes, headers: bytes, payload: bytes) -> None:
        """A delivery, or a status of one of our requests."""
        if not reply:
            self._on_status(subject, headers)
            return
        self._unsettled += 1
        if self._unsettled > self._load:  # noqa: PLR1730 - max() costs a call per message
            self._load = self._unsettled  # it came after its request was closed
        self._heard = True
        try:
            self._on_delivery(subject, reply, headers, payload)
        except (ValueError, IndexError):
            if is_ack(reply, *self.durable):
                raise
            self.stray(reply)

    def stray(self, reply: bytes) -> None:
        """What came was no delivery: somebody else publishes on our inbox. It has no verdict."""
        self._unsettled -= 1
        self._clamp()
        self.strays += 1
        if (now := self._clock()) >= self._tell_stray_at:
            self._tell_stray_at = now + _TELL_STRAYS_SECONDS
            said = printable(reply[:_SHOWN].decode(errors="replace"))
            log.warning("a message on our inbox is no delivery", durable=self._durable, reply=said)

    def sweep(self) -> None:
        """Notice silence and expiry; call it a few times a second."""
        now = self._clock()
        if self._heard:
            self._heard = self._rests = False
            self._delivered_at = now
            self._said = ""
        self._close_dead(now)
        self.refill()

    def _close_dead(self, now: float) -> None:
        """Close what expired, and what is silent while nothing is delivered.

        Deliveries do not tell their request and put off its heartbeats, so only when none came
        for a while is a request without heartbeats complete, or lost.
        """
        before = now - SILENT_SECONDS
        idle = self._delivered_at < before
        dead = [
            number
            for number, request in self._requests.items()
            if request.is_dead(now, self._delivered_at)
        ]
        for number in dead:
            del self._requests[number]
        expected = self._load - self._unsettled
        if dead or (idle and self._closed_at < before):
            self._clamp()
        if dead and idle and expected:
            self._fell_silent()

    def _fell_silent(self) -> None:
        """A server that was only slow must not serve what is dead to us beside what is not."""
        if not self._requests:
            self._said = f"durable {self._durable!r} on {self._stream} is silent"
            if self._on_gone is not None:
                self._on_gone(self._said)
                return
        self._begin_anew()

    def _on_status(self, subject: bytes, headers: bytes) -> None:
        number = subject.rpartition(b".")[2]
        request = self._requests.get(number)
        status = wire.parse(headers)
        if request is None or not status.status:
            return  # closed already: what it still says is stale; or nothing that a server says
        now = self._clock()
        if status.status == _HEARTBEAT:
            request.alive_at = now
            self._said = ""
            return
        del self._requests[number]
        self._closed_at = now
        pending = status.values.get(PENDING_MESSAGES, "")
        if pending.isdecimal():
            # exact, also when the status overtook messages that are still on their way
            self._load = max(self._unsettled, self._load - int(pending))
            self._measure(request.asked - int(pending), status)
        else:
            self._clamp()
        if status.status == _EXPIRED and not self._heard:
            self._rests = self._delivered_at <= request.began
        self._judge(status, now)
        self.refill()

    def _judge(self, status: wire.Headers, now: float) -> None:
        """What a closed request says about its durable."""
        if status.status in (_EXPIRED, _NO_MESSAGES) or status.description in _COMPLETE:
            self._said = ""
            return
        said = status.description or f"status {status.status}"
        self._not_before = now + ERROR_PAUSE
        self._heard = False  # what came before does not refute it
        gone = status.status == _NO_RESPONDERS or "Deleted" in said
        if status.status == _NO_RESPONDERS:  # which of the two, the look at the durable tells
            said = "no answer; it is gone, or its servers are electing a leader"
        self._said = f"durable {self._durable!r} on {self._stream}: {said} ({status.status})"
        if gone and self._on_gone is not None:
            self._on_gone(self._said)

    def _measure(self, brought: int, status: wire.Headers) -> None:
        """Learn from the end of a request how large messages are; what is larger counts at once."""
        left = status.values.get(PENDING_BYTES, "")
        if not left.isdecimal() or status.description not in _COMPLETE:
            return
        if not brought:
            self._single = True
        size = (REQUEST_BYTES - int(left)) / brought if brought else float(REQUEST_BYTES)
        self._size = max(size, self._size + (size - self._size) * _FORGET)
        self._set_limit()

    def _set_limit(self) -> None:
        fit = int(MOST_BYTES / self._size) if self._size else self._allowed
        self._limit = limit = min(self._allowed, self._grown, max(1, fit))
        # small limits are refilled sooner, they run dry sooner
        self._low = limit - max(1, limit // 2 if limit >= _LARGE else limit // 4)

    def _clamp(self) -> None:
        """No more can be on its way than the requests that are still open asked for."""
        open_requests = sum(request.asked for request in self._requests.values())
        self._load = min(self._load, self._unsettled + open_requests)

    def _begin_anew(self) -> None:
        """Make the server forget every request, also one that it was too slow to answer.

        It serves a request for as long as somebody listens on its inbox: so listen on another.
        The subscription keeps its id, what was sent already still arrives.
        """
        self._forget_requests()
        self._rests = False
        self._turn += 1
        self._inbox = b"%b.%d" % (self._base, self._turn)
        self._send(wire.unsub(self.sid) + wire.sub(self._inbox + b".*", self.sid))

    def _forget_requests(self) -> None:
        self._requests.clear()
        self._load = self._unsettled
