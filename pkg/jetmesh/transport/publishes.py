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

SWEEP_SECONDS: Final = 0.25
ANSWER_TICKS: Final = 12
"""Sweeps of silence after which a publish is sent again: three seconds."""
REFUSED_TICKS: Final = 2
"""Sweeps until a message is sent again that the server could not take just now."""

_SMALL: Final = 4096
_DIGITS: Final = [b"%d" % size for size in range(_SMALL)]
"""Formatting two lengths costs as much as the rest of the frame; most are in this table."""

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


class Publishes:
    """The table of pending publishes, by the token that ends their reply subject.

    `send` is set by the owner: to the connection's while there is one, to `drop` while there is
    none, because `resend_all` follows then.
    """

    def __init__(self, inbox: bytes) -> None:
        self.subject = inbox + b".*"
        self.max_payload = 1 << 20
        """Bytes of headers and payload that the server takes in one message."""
        self.resent = 0
        """Messages sent again, for metrics."""
        self.refusal = ""
        """The newest passing refusal in words, empty once nothing waits because of one."""
        self.send: Callable[[bytes], None] = drop
        self._reply_start = inbox + b"."
        self._token_at = len(inbox) + 1
        self._count = 0
        self._tick = 0
        self._pending: dict[bytes, tuple[int, bytes, Waiter]] = {}
        self._later: deque[tuple[int, bytes]] = deque()

    def __len__(self) -> int:
        return len(self._pending)

    def publish(self, subject: bytes, headers: bytes, payload: bytes, waiter: Waiter) -> None:
        """Send, and call the waiter once the fate is known."""
        header_size = len(headers)
        size = header_size + len(payload)
        if size > self.max_payload:
            limit = self.max_payload
            waiter.on_impossible(f"{size} bytes are more than the server's max_payload of {limit}")
            return
        self._count = count = self._count + 1
        token = b"%d" % count
        frame = b"HPUB %b %b%b %b %b\r\n%b%b\r\n" % (
            subject,
            self._reply_start,
            token,
            _DIGITS[header_size] if header_size < _SMALL else b"%d" % header_size,
            _DIGITS[size] if size < _SMALL else b"%d" % size,
            headers,
            payload,
        )
        self._pending[token] = (self._tick, frame, waiter)
        self.send(frame)

    def on_answer(self, subject: bytes, _reply: bytes, headers: bytes, payload: bytes) -> None:
        """A PubAck, an error, or the server's word that nobody listens on the subject."""
        token = subject[self._token_at :]
        if payload.startswith(b'{"stream"'):
            sent = self._pending.pop(token, None)
            if sent is not None:  # else the second answer to a message sent twice
                sent[2].on_stored()
            return
        self._on_refusal(token, headers, payload)

    def sweep(self) -> None:
        """Send again what nobody answered; call it every `SWEEP_SECONDS`."""
        self._tick = now = self._tick + 1
        if not self._later:
            self.refusal = ""
        while self._later and self._later[0][0] <= now:
            self._again(self._later.popleft()[1])
        overdue = []
        for token, (sent_at, _, _) in self._pending.items():  # sending again moves to the end
            if now - sent_at < ANSWER_TICKS:
                break
            overdue.append(token)
        for token in overdue:
            self._again(token)

    def resend_all(self) -> None:
        """Send everything again, in order, after a new connection."""
        self._later.clear()
        for token in list(self._pending):
            self._again(token)

    def _again(self, token: bytes) -> None:
        sent = self._pending.pop(token, None)
        if sent is None:
            return
        _, frame, waiter = sent
        self._pending[token] = (self._tick, frame, waiter)
        self.resent += 1
        self.send(frame)

    def _on_refusal(self, token: bytes, headers: bytes, payload: bytes) -> None:
        sent = self._pending.get(token)
        if sent is None:
            return
        waiter = sent[2]
        error = _read_error(headers, payload)
        if error.err_code == _DECIDED:
            del self._pending[token]
            waiter.on_decided()
        elif error.err_code in _IMPOSSIBLE:
            del self._pending[token]
            waiter.on_impossible(error.description)
        else:
            self.refusal = f"{error.description} ({error.err_code or error.code})"
            self._later.append((self._tick + REFUSED_TICKS, token))


def drop(_: bytes) -> None:
    """Send nothing: there is no connection."""


def _read_error(headers: bytes, payload: bytes) -> _Error:
    if headers:
        status = wire.parse(headers)
        return _Error(status.status, 0, status.description or "no stream takes the subject")
    try:
        answer = _decode(payload)
    except msgspec.DecodeError:
        return _Error(description="the server's answer is no PubAck")
    return answer.error or _Error(description="the server's answer is no PubAck")
