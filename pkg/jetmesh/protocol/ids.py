"""Message ids: by them the server knows a repetition, and we what caused a message."""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

from jetmesh.protocol.times import is_same_time

_PARTS: Final = 5
_DIGITS: Final = 20
"""No number of the broker has more."""
_REPLAY: Final = "replay"
_OTHER: Final = ">"
"""Stands in no subject, and so in no effect."""
_NOTE: Final = "done"
LOST: Final = "lost:"
"""How the effect in the ids of a reaction's outputs begins: the handler may have published the
like."""
LATER: Final = "later:"
"""How that of an event begins that came later; behind it stands the deadline's name (ADR-0035)."""


class Cause(NamedTuple):
    """Which handler made a message, and of which one.

    A stream that is deleted and made again counts from 1 once more: the sequence alone names
    another message then, the time of storing does not (ADR-0015).
    """

    service: str
    handler: str
    stream: str
    sequence: str
    stored: int = 0
    """When the server stored that one, in nanoseconds since 1970; 0 when the id does not say."""

    @property
    def place(self) -> str:
        """`ORDERS:5`, where that message stood."""
        return f"{self.stream}:{self.sequence}"

    @property
    def token(self) -> str:
        """`<sequence>-<nanoseconds>`, or the sequence alone."""
        return token_of(self.sequence, self.stored)

    def id(self, effect: str) -> str:
        """The id of what was made: for an output, `effect` is its subject."""
        return f"{self.service}:{self.handler}:{self.stream}:{self.token}:{effect}"

    def made(self, message_id: str) -> bool:
        """Whether a message is of this cause; an id without a time tells by the sequence."""
        found = cause_of(message_id)
        return (
            found is not None
            and found._replace(stored=self.stored) == self
            and is_same_time(found.stored, self.stored)
        )

    def deadletter(self, replays: int, deadline: str = "") -> str:
        """The id of a dead letter: one for each time that its message was replayed.

        `deadline`: it is about one that the message asked for, as `Deadline.effect` says it.
        """
        parts = ("deadletter", deadline, str(replays or ""))
        return self.id(":".join(filter(None, parts)))

    def retry(self, delivery: str) -> str:
        """The id of a retry: one for each delivery, by its number."""
        return self.id(f"retry:{delivery}")

    def moved(self, attempts: int, replays: int) -> str:
        """The id of what stands for this message on a lane that was moved to another stream."""
        again = f":{replays}" if replays else ""
        return self.id(f"lane:{attempts}{again}")  # no longer than what it replaces: it has to fit

    def refusal(self) -> str:
        """The id of the mark of a refused outcome."""
        return self.id("refusal")


def token_of(sequence: int | str, stored: int) -> str:
    """One stored message of a stream, for ever: `<sequence>-<nanoseconds>`.

    The sequence alone when `stored` is 0, as everything was named before.
    """
    return f"{sequence}-{stored}" if stored else str(sequence)


def cause_of(message_id: str) -> Cause | None:
    """What `Cause.id` wrote, also before it named the time; None when it is not ours."""
    parts = message_id.split(":", _PARTS - 1)
    if len(parts) < _PARTS:
        return None
    service, handler, stream, token, _ = parts
    sequence, dash, stored = token.partition("-")
    if not is_number(sequence) or (dash and not is_number(stored)):
        return None
    return Cause(service, handler, stream, sequence, int(stored or 0))


def other_id(message_id: str, taken_by: int) -> str:
    """The id of a message whose own was taken: by the message of its stream with this sequence."""
    return f"{message_id}{_OTHER}{taken_by}"


def is_same_id(message_id: str, wanted: str) -> bool:
    """Whether an id is the wanted one, or what `other_id` made of it."""
    return message_id == wanted or message_id.startswith(f"{wanted}{_OTHER}")


def effect_of(message_id: str) -> str:
    """What `Cause.id` was given; empty when it is none of ours."""
    parts = message_id.split(":", _PARTS - 1)
    return parts[-1].partition(_OTHER)[0] if len(parts) == _PARTS else ""


def subject_of(message_id: str) -> str:
    """The subject that an output's id names, whatever led to it; empty when it is none of ours."""
    effect = effect_of(message_id)
    if effect.startswith(LATER):
        return effect.removeprefix(LATER).partition(":")[2]
    return effect.removeprefix(LOST)


def replay_id(letter: int, stored: int, before: int = 0) -> str:
    """The id of a letter's message on a lane, where it was put `before` times already.

    `stored` is when the letter was, in nanoseconds since 1970.
    """
    return f"{_REPLAY}:{token_of(letter, stored)}{_again(before)}"


def note_id(letter: int, stored: int, action: str, before: int = 0) -> str:
    """The id of the note that says so of a letter; `stored` as in `replay_id`."""
    return f"{_NOTE}:{token_of(letter, stored)}:{action}{_again(before)}"


def note_of(message_id: str) -> tuple[int, str] | None:
    """The letter and the action that `note_id` wrote; None when it is no note."""
    mark, _, rest = message_id.partition(":")
    token, _, action = rest.partition(":")
    letter = token.partition("-")[0]
    if mark != _NOTE or not is_number(letter):
        return None
    return int(letter), action.partition(_OTHER)[0].partition(":")[0]


def is_number(text: str) -> bool:
    """Whether the broker may have written it: a few plain digits."""
    return text.isascii() and text.isdecimal() and len(text) <= _DIGITS


def fingerprint(service: str, handler: str, error: str, where: str) -> str:
    """Equal for letters of one fault, whatever the message that met it."""
    return hashlib.sha256(f"{service}:{handler}:{error}:{where}".encode()).hexdigest()[:12]


def _again(before: int) -> str:
    return f":{before + 1}" if before else ""
