"""Message ids: by them the server knows a repetition, and we what caused a message."""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

_PARTS: Final = 5
_REPLAY: Final = "replay"
_NOTE: Final = "done"


class Cause(NamedTuple):
    """Which handler made a message, and of which one."""

    service: str
    handler: str
    stream: str
    sequence: str

    def id(self, effect: str) -> str:
        """The id of what was made: for an output, `effect` is its subject."""
        return ":".join((*self, effect))

    def made(self, message_id: str) -> bool:
        """Whether a message is of this cause."""
        return message_id.startswith(self.id(""))

    def deadletter(self, replays: int) -> str:
        """The id of a dead letter: one for each time that its message was replayed."""
        return self.id(f"deadletter:{replays}" if replays else "deadletter")

    def retry(self, delivery: str) -> str:
        """The id of a retry: one for each delivery, by its number."""
        return self.id(f"retry:{delivery}")

    def refusal(self) -> str:
        """The id of the mark of a refused outcome."""
        return self.id("refusal")


def cause_of(message_id: str) -> Cause | None:
    """What `Cause.id` wrote; None when it is not ours."""
    parts = message_id.split(":", _PARTS - 1)
    if len(parts) < _PARTS or not parts[3].isdecimal():
        return None
    return Cause(*parts[:4])


def replay_id(letter: int, before: int = 0) -> str:
    """The id of a letter's message on a lane, where it was put `before` times already."""
    return f"{_REPLAY}:{letter}{_again(before)}"


def note_id(letter: int, action: str, before: int = 0) -> str:
    """The id of the note that says so of a letter."""
    return f"{_NOTE}:{letter}:{action}{_again(before)}"


def note_of(message_id: str) -> tuple[int, str] | None:
    """The letter and the action that `note_id` wrote; None when it is no note."""
    mark, _, rest = message_id.partition(":")
    letter, _, action = rest.partition(":")
    if mark != _NOTE or not (letter.isascii() and letter.isdecimal()):
        return None
    return int(letter), action.partition(":")[0]


def fingerprint(service: str, handler: str, error: str, where: str) -> str:
    """Equal for letters of one fault, whatever the message that met it."""
    return hashlib.sha256(f"{service}:{handler}:{error}:{where}".encode()).hexdigest()[:12]


def _again(before: int) -> str:
    return f":{before + 1}" if before else ""
