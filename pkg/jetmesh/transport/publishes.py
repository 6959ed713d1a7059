"""Publishes whose fate is not known yet: sent again until it is.

Which answers are final was found out on three servers under faults (ADR-0002): a PubAck, and
10071 of a guarded publish. Everything else, silence too, means undecided: what was in flight
may be stored or may have vanished, so the identical message is sent again, and the message id
or the guard makes that harmless. What `duplicate` in a PubAck is worth, the waiter judges: anybody
may have taken a message id (ADR-0017).

What nats-server 2.15 answers when it has no room, all of it passing, so the message is kept and
sent again until there is:

    10077   the stream is at its max_bytes or max_msgs
    10002   the account is at its max_file or max_mem
    10023   the server is at its max_file_store or max_memory_store
    503     no stream takes the subject, or JetStream is off
    nothing the disk is full; the server takes writes again only when it is restarted
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from jetmesh.transport.seam import Message, Waiter
from jetmesh.transport.stored import DECIDED, NEVER_STORED, Reason, read

SWEEP_SECONDS: Final = 0.25
ANSWER_TICKS: Final = 12
"""Sweeps of silence after which a publish is sent again: three seconds."""
REFUSED_TICKS: Final = 2
"""Sweeps until a message is sent again that the server could not take just now."""
PATIENCE_TICKS: Final = 8
"""Sweeps for which messages may be refused before that is a problem: two seconds."""
LASTING_TICKS: Final = 4
"""Sweeps until a message is sent again when that is a problem: a full stream stays full a while."""

_BRIEF: Final = 2
"""No answer is so short; one byte of it is looked at, for a call would cost more."""
_STREAM: Final = ord("s")
_NINE: Final = ord("9")
_SMALL: Final = 4096
_DIGITS: Final = [b"%d" % size for size in range(_SMALL)]
"""Formatting two lengths costs as much as the rest of the frame; most are in this table."""


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
        """The newest passing refusal in words, empty once there was none for a while."""
        self.send: Callable[[bytes], None] = drop
        self._reply_start = b" %b." % inbox
        self._token_at = len(inbox) + 1
        self._count = 0
        self._tick = 0
        self._pending: dict[bytes, tuple[int, bytes, Waiter]] = {}
        self._later: dict[bytes, int] = {}
        """Refused messages, by the tick at which they are sent again."""
        self._refused_since = self._refused_until = 0

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def problem(self) -> str:
        """Why messages have been refused for a while, in words; empty when all is well."""
        return f"publishing: {self.refusal}" if self._is_lasting else ""

    @property
    def _is_lasting(self) -> bool:
        return bool(self.refusal) and self._tick - self._refused_since >= PATIENCE_TICKS

    def publish(self, subject: bytes, headers: bytes, payload: bytes, waiter: Waiter) -> None:
        """Send, and call the waiter once the fate is known."""
        header_size = len(headers)
        size = header_size + len(payload)
        if size > self.max_payload:
            waiter.on_impossible(too_large(size, self.max_payload))
            return
        self._count = count = self._count + 1
        token = b"%d" % count
        header_digits = _DIGITS[header_size] if header_size < _SMALL else b"%d" % header_size
        digits = _DIGITS[size] if size < _SMALL else b"%d" % size
        frame = b"".join(
            (
                b"HPUB ",
                subject,
                self._reply_start,
                token,
                b" ",
                header_digits,
                b" ",
                digits,
                b"\r\n",
                headers,
                payload,
                b"\r\n",
            )
        )
        self._pending[token] = (self._tick, frame, waiter)
        self.send(frame)

    def on_answer(self, subject: bytes, _reply: bytes, headers: bytes, payload: bytes) -> None:
        """A PubAck, an error, or the server's word that nobody listens on the subject."""
        token = subject[self._token_at :]
        # a PubAck begins with {"stream", all else with {"error"; it ends with its sequence, or with
        # what makes it a special one, as "duplicate"
        if len(payload) > _BRIEF and payload[_BRIEF] == _STREAM and payload[-2] <= _NINE:
            sent = self._pending.pop(token, None)
            if sent is not None:  # else the second answer to a message sent twice
                sent[2].on_stored(payload)
            return
        self._on_other(token, headers, payload)

    def sweep(self) -> None:
        """Send again what was refused or not answered; call it every `SWEEP_SECONDS`."""
        self._tick = now = self._tick + 1
        for token in [token for token, due in self._later.items() if due <= now]:
            del self._later[token]
            self._again(token)
        overdue = []
        for token, (sent_at, _, _) in self._pending.items():  # sending again moves to the end
            if now - sent_at < ANSWER_TICKS:
                break
            overdue.append(token)
        if overdue:
            silent = f"no answer to {_subject(self._pending[overdue[0]][1])}; is the disk full?"
            self._note(self.refusal or silent, ANSWER_TICKS + 1)
        for token in overdue:
            self._again(token)
        if not self._pending or now > self._refused_until:
            self.refusal = ""

    def resend_all(self) -> None:
        """Send everything again, in the order of publishing, after a new connection."""
        self._later.clear()
        for token in sorted(self._pending, key=int):
            _, frame, waiter = self._pending[token]
            if len(frame) > self.max_payload and (size := _size(frame)) > self.max_payload:
                # another server, another limit: sending it would end the connection, for ever
                del self._pending[token]
                waiter.on_impossible(too_large(size, self.max_payload))
            else:
                self._again(token)

    def denied(self, refusal: str) -> None:
        """The broker's user may not publish on a subject; permissions can be given later."""
        self._note(refusal, ANSWER_TICKS + 1)

    def _note(self, refusal: str, lasting: int) -> None:
        """Remember why something waits, for as many sweeps as it takes to be refused again."""
        if not self.refusal:
            self._refused_since = self._tick
        self.refusal = refusal
        self._refused_until = self._tick + lasting

    def _again(self, token: bytes) -> None:
        sent = self._pending.pop(token, None)
        if sent is None:
            return
        _, frame, waiter = sent
        self._pending[token] = (self._tick, frame, waiter)
        self.resent += 1
        self.send(frame)

    def _on_other(self, token: bytes, headers: bytes, payload: bytes) -> None:
        sent = self._pending.get(token)
        if sent is None:
            return
        _, frame, waiter = sent
        answer = read(payload, headers, "no stream takes it")
        if answer.error is None and answer.seq:
            del self._pending[token]
            if answer.duplicate:
                waiter.on_duplicate(_message(frame), answer.seq)
            else:
                waiter.on_stored(payload)
            return
        error = answer.error or Reason(description="the answer is not a PubAck")
        if error.err_code == DECIDED:
            del self._pending[token]
            waiter.on_decided()
        elif error.err_code in NEVER_STORED:
            del self._pending[token]
            waiter.on_impossible(error.description)
        else:
            pause = LASTING_TICKS if self._is_lasting else REFUSED_TICKS
            self._note(f"{_subject(frame)}: {error}", pause + 2)
            self._later.setdefault(token, self._tick + pause)


def drop(_: bytes) -> None:
    """Send nothing: there is no connection."""


def _subject(frame: bytes) -> str:
    return frame.split(b" ", 2)[1].decode(errors="replace")


def _size(frame: bytes) -> int:
    """Bytes of headers and payload: the last argument of HPUB."""
    return int(frame[: frame.index(b"\r\n")].rpartition(b" ")[2])


def _message(frame: bytes) -> Message:
    """What an HPUB frame publishes."""
    line, _, rest = frame.partition(b"\r\n")
    _, subject, _, headers, size = line.split(b" ")
    return subject, rest[: int(headers)], rest[int(headers) : int(size)]


def too_large(size: int, limit: int) -> str:
    """Why no server will take so many bytes of headers and payload."""
    return f"{size} bytes are more than the server's max_payload of {limit}"
