"""Publishes whose fate is not known yet: sent again until it is.

Which answers are final was found out on three servers under faults (ADR-0002): a PubAck, and
10071 of a guarded publish. Everything else, silence too, means undecided: what was in flight
may be stored or may have vanished, so the identical message is sent again, and the message id
or the guard makes that harmless.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from jetmesh import wire
from jetmesh.transport.seam import Waiter

ANSWER_SECONDS: Final = 3.0
"""Silence after which a publish is sent again."""
_REFUSED_SECONDS: Final = 0.25
"""How soon a message is sent again that the server could not take just now."""

_DECIDED: Final = 10071
_IMPOSSIBLE: Final = frozenset(
    {
        10054,  # message size exceeds maximum allowed
        10070,  # expected stream does not match
        10012,  # stream is sealed or the header is malformed
    }
)


class _Error(msgspec.Struct):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _Answer(msgspec.Struct):
    error: _Error | None = None


_decode = msgspec.json.Decoder(_Answer).decode


class _Sent:
    """One publish on its way."""

    __slots__ = ("frame", "sent_at", "waiter")

    def __init__(self, sent_at: float, frame: bytes, waiter: Waiter) -> None:
        self.sent_at = sent_at
        self.frame = frame
        self.waiter = waiter


class Publishes:
    """The table of pending publishes, by the token that ends their reply subject.

    `send` puts a frame on the wire, or drops it while there is none: `resend_all` follows then.
    """

    def __init__(
        self, inbox: bytes, send: Callable[[bytes], None], clock: Callable[[], float]
    ) -> None:
        self.subject = inbox + b".*"
        self.resent = 0
        """Messages sent again, for metrics."""
        self.refusal = ""
        """The newest passing refusal in words, empty once a publish was stored after it."""
        self._reply_start = inbox + b"."
        self._token_at = len(inbox) + 1
        self._send = send
        self._clock = clock
        self._count = 0
        self._pending: dict[bytes, _Sent] = {}
        self._later: deque[tuple[float, bytes]] = deque()

    def __len__(self) -> int:
        return len(self._pending)

    def publish(self, subject: bytes, headers: bytes, payload: bytes, waiter: Waiter) -> None:
        """Send, and call the waiter once the fate is known."""
        self._count = count = self._count + 1
        token = b"%d" % count
        size = len(headers)
        frame = b"HPUB %b %b%b %d %d\r\n%b%b\r\n" % (
            subject,
            self._reply_start,
            token,
            size,
            size + len(payload),
            headers,
            payload,
        )
        self._pending[token] = _Sent(self._clock(), frame, waiter)
        self._send(frame)

    def on_answer(self, subject: bytes, _reply: bytes, headers: bytes, payload: bytes) -> None:
        """A PubAck, an error, or the server's word that nobody listens on the subject."""
        token = subject[self._token_at :]
        if payload.startswith(b'{"stream"'):
            sent = self._pending.pop(token, None)
            if sent is not None:  # else the second answer to a message sent twice
                sent.waiter.on_stored()
            return
        self._on_refusal(token, headers, payload)

    def sweep(self) -> None:
        """Send again what nobody answered; call it a few times a second."""
        now = self._clock()
        if self._pending and self.refusal and not self._later:
            self.refusal = ""
        while self._later and self._later[0][0] <= now:
            self._again(self._later.popleft()[1], now)
        overdue = []
        for token, sent in self._pending.items():  # oldest first: sending again moves to the end
            if now - sent.sent_at < ANSWER_SECONDS:
                break
            overdue.append(token)
        for token in overdue:
            self._again(token, now)

    def resend_all(self) -> None:
        """Send everything again, in order, after a new connection."""
        self._later.clear()
        now = self._clock()
        for token in list(self._pending):
            self._again(token, now)

    def abandon(self, waiter: Waiter) -> None:
        """Forget what `waiter` waits for; it is not called any more."""
        for token in [t for t, sent in self._pending.items() if sent.waiter is waiter]:
            del self._pending[token]

    def _again(self, token: bytes, now: float) -> None:
        sent = self._pending.pop(token, None)
        if sent is None:
            return
        sent.sent_at = now
        self._pending[token] = sent
        self.resent += 1
        self._send(sent.frame)

    def _on_refusal(self, token: bytes, headers: bytes, payload: bytes) -> None:
        sent = self._pending.get(token)
        if sent is None:
            return
        error = _read_error(headers, payload)
        if error.err_code == _DECIDED:
            del self._pending[token]
            sent.waiter.on_decided()
        elif error.err_code in _IMPOSSIBLE:
            del self._pending[token]
            sent.waiter.on_impossible(error.description)
        else:
            self.refusal = f"{error.description} ({error.err_code or error.code})"
            self._later.append((self._clock() + _REFUSED_SECONDS, token))


def _read_error(headers: bytes, payload: bytes) -> _Error:
    if headers:
        status = wire.parse(headers)
        return _Error(status.status, 0, status.description or "no stream takes the subject")
    try:
        answer = _decode(payload)
    except msgspec.DecodeError:
        return _Error(description="the server's answer is no PubAck")
    return answer.error or _Error(description="the server's answer is no PubAck")
