"""Dead letters as people see them: one letter, the notes of what was done with it, a fault's group.

A letter is open until a note stands beside it.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Final, Literal

from msgspec import Struct

from jetmesh import wire
from jetmesh.declare import escape_key, unescape_key
from jetmesh.errors import JetmeshError, UsageError
from jetmesh.protocol import headers as header
from jetmesh.protocol.lanes import Origin, origin_of
from jetmesh.protocol.streams import DEADLETTERS, LANES
from jetmesh.protocol.subjects import NO_KEY, Address, address_of, deadletter_subject
from jetmesh.transport.stored import StoredMessage

Action = Literal["replay", "drop"]
State = Literal["open", "replayed", "dropped"]

STATES: Final[Mapping[str, State]] = {"replay": "replayed", "drop": "dropped"}
"""What an action makes of a letter."""
_DIGITS: Final = 19
"""No number of the broker has more."""


class LetterError(JetmeshError):
    """A letter is not there, does not say for which message it stands, or lacks its payload."""


class Note(Struct, frozen=True, kw_only=True):
    """What was done with a letter, when, by whom and why; stored beside it."""

    action: Action
    letter: int
    """Its sequence in DEADLETTERS."""
    by: str
    at: datetime
    why: str = ""
    corrected: bool = False
    """Another payload than the letter's was sent."""
    lane: str = LANES
    """The stream of its handler's lane."""
    lane_sequence: int = 0
    """Where it was put in there, 0 for a dropped one."""

    @property
    def state(self) -> State:
        return STATES[self.action]


@dataclass(frozen=True)
class Letter:
    """One dead letter."""

    message: StoredMessage
    """Without its payload, where many are read."""

    @property
    def sequence(self) -> int:
        return self.message.sequence

    @property
    def id(self) -> str:
        return f"{DEADLETTERS}:{self.sequence}"

    @cached_property
    def address(self) -> Address:
        return address_of(self.message.subject) or Address("", "", NO_KEY)

    @property
    def service(self) -> str:
        return self.address.service

    @property
    def handler(self) -> str:
        return self.address.handler

    @property
    def key_token(self) -> str:
        return self.address.key_token

    @property
    def key(self) -> str:
        """What the message is about; empty when nobody could read it."""
        return "" if self.key_token == NO_KEY else unescape_key(self.key_token)

    def header(self, name: str) -> str:
        """Its value, empty when it is missing, as in a letter that somebody typed."""
        return wire.legible(self.message.headers.get(name, ""))

    @property
    def error(self) -> str:
        return self.header(header.ERROR) or "unknown"

    @property
    def text(self) -> str:
        """What the error says."""
        return self.header(header.MESSAGE)

    @property
    def where(self) -> str:
        return self.header(header.WHERE)

    @property
    def fingerprint(self) -> str:
        return self.header(header.FINGERPRINT)

    @property
    def attempts(self) -> int:
        return _number(self.header(header.ATTEMPTS))

    @property
    def replays(self) -> int:
        """How often its message had been replayed when it failed."""
        return _number(self.header(header.REPLAYS))

    @property
    def payload_in_stream(self) -> bool:
        """Its payload was too large for a letter, and is in the stream where it came from."""
        return self.header(header.PAYLOAD) == header.LEFT

    @cached_property
    def failed_at(self) -> datetime:
        try:
            found = datetime.fromisoformat(self.header(header.FAILED_AT))
        except ValueError:
            return self.message.stored_at
        return found if found.tzinfo else self.message.stored_at

    @cached_property
    def origin(self) -> Origin:
        """The message that it stands for.

        Raises:
            LetterError: it does not say, as one that somebody typed.
        """
        try:
            return origin_of(self.message.headers)
        except ValueError as error:
            raise LetterError(
                f"{self.id} does not say which message it stands for: {error}.",
                remedy=f"Nobody can replay it; jetmesh deadletters drop {self.sequence} --why …",
            ) from error


@dataclass(frozen=True, slots=True)
class Selector:
    """Which letters are meant; empty fields mean any."""

    service: str = ""
    handler: str = ""
    key: str = ""
    fingerprint: str = ""
    """Its first characters are enough."""

    @property
    def subject(self) -> str:
        """The subject filter of what is wanted.

        Raises:
            ContractViolation: no event can have such a key.
        """
        tokens = (self.service, self.handler, self.key)
        return deadletter_subject(*(escape_key(each) if each else "*" for each in tokens))

    def __bool__(self) -> bool:
        return self != Selector()

    @property
    def described(self) -> tuple[str, ...]:
        """What is wanted, in words that say nothing about a person: no key."""
        named = ("service", self.service), ("handler", self.handler), ("fault", self.fingerprint)
        words = tuple(f"{what} {name}" for what, name in named if name)
        return (*words, "a key") if self.key else words or ("all",)

    def matches(self, letter: Letter) -> bool:
        """Whether a letter on the subject is wanted."""
        return letter.fingerprint.startswith(self.fingerprint)


@dataclass(slots=True)
class Group:
    """Letters of one fault."""

    example: Letter
    """The newest one."""
    oldest: datetime
    counts: dict[str, int] = field(default_factory=lambda: {"open": 0, "replayed": 0, "dropped": 0})

    @property
    def count(self) -> int:
        return sum(self.counts.values())

    @property
    def newest(self) -> datetime:
        return self.example.failed_at

    def add(self, letter: Letter, state: State) -> None:
        self.counts[state] += 1
        self.oldest = min(self.oldest, letter.failed_at)
        if letter.failed_at >= self.newest:
            self.example = letter


@dataclass(slots=True)
class Selection:
    """Letters by their sequences, and what they are about: 100,000 of them fit in a megabyte."""

    groups: dict[tuple[str, ...], Group] = field(default_factory=dict)
    sequences: array[int] = field(default_factory=lambda: array("Q"))

    def __len__(self) -> int:
        return len(self.sequences)

    def add(self, letter: Letter, state: State = "open") -> None:
        self.sequences.append(letter.sequence)
        fault = (letter.service, letter.handler, letter.fingerprint, letter.error, letter.where)
        self.groups.setdefault(fault, Group(letter, letter.failed_at)).add(letter, state)

    def faults(self) -> list[Group]:
        """The one with the most letters first."""

        def rank(group: Group) -> tuple[int, str, str]:
            return -group.count, group.example.service, group.example.handler

        return sorted(self.groups.values(), key=rank)


def number_of(text: str) -> int:
    """The sequence that `DEADLETTERS:17` or `17` names.

    Raises:
        UsageError: it names none.
    """
    number = _number(text.upper().removeprefix(f"{DEADLETTERS}:"))
    if not number:
        raise UsageError(
            f"{text!r} is not a letter.", remedy="Write DEADLETTERS:17 or 17, as ls shows it."
        )
    return number


def _number(text: str) -> int:
    usable = text.isascii() and text.isdecimal() and len(text) < _DIGITS
    return int(text) if usable else 0
