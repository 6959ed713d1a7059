"""Reading DEADLETTERS: what is open, one letter, and the story of a message that failed again.

A note's message id, `done:17-<nanoseconds>:replay`, says to which letter it belongs, so that going
through 100,000 letters and notes needs the payload of none.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from jetmesh.operate.deadletters.letter import (
    STATES,
    Letter,
    LetterError,
    Note,
    Selection,
    Selector,
    State,
)
from jetmesh.protocol.ids import note_of
from jetmesh.protocol.lanes import origin_of, scheduled_at
from jetmesh.protocol.streams import DEADLETTERS, lane_stream
from jetmesh.protocol.subjects import (
    address_of,
    deadletter_subject,
    lane_subject,
    note_subject,
    old_subject,
    retry_subject,
)
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.stored import NOT_FOUND, ApiError, StoredMessage

OnRead = Callable[[int], None]
"""Gets the sequence of every message that was read."""


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One letter of a message, and what was done with it."""

    letter: Letter
    notes: tuple[Note, ...]


async def find(control: ControlPlane, sequence: int) -> Letter:
    """One letter, whole.

    Raises:
        LetterError: there is none with this number.
        BrokerError: the broker does not answer.
    """
    message = await control.message(DEADLETTERS, sequence)
    if message is None:
        raise LetterError(
            f"There is no letter {DEADLETTERS}:{sequence}, or no longer.",
            remedy="jetmesh deadletters ls --all shows what there is.",
        )
    if (letter := _letter(message)) is not None:
        return letter
    if known := _state_of(message):
        raise LetterError(
            f"{DEADLETTERS}:{sequence} is not a letter: it notes that {DEADLETTERS}:{known[0]} "
            f"was {known[1]}.",
            remedy=f"jetmesh deadletters show {known[0]} tells its story.",
        )
    raise LetterError(
        f"{DEADLETTERS}:{sequence} is not a letter: its subject is {message.subject!r}.",
        remedy="jetmesh deadletters ls shows what there is.",
    )


async def select(
    control: ControlPlane, selector: Selector, *, every: bool = False, on_read: OnRead | None = None
) -> Selection:
    """The open letters that are wanted, or with `every` all of them.

    Raises:
        LetterError: there is no stream of letters.
        BrokerError: the broker does not answer.
    """
    found = Selection()
    async for letter, state in letters(control, selector, on_read=on_read):
        if every or state == "open":
            found.add(letter, state)
    return found


async def letters(
    control: ControlPlane, selector: Selector, *, on_read: OnRead | None = None
) -> AsyncGenerator[tuple[Letter, State]]:
    """Every letter that is wanted, in the order of their failures, without payloads.

    Raises:
        LetterError: there is no stream of letters.
        BrokerError: the broker does not answer.
    """
    done, _ = await settled(control, selector)
    async for message in _stored(control, selector.subject):
        letter = _letter(message)
        if letter is not None and selector.matches(letter):
            yield letter, done.get(letter.sequence, "open")
        if on_read is not None:
            on_read(message.sequence)


async def settled(
    control: ControlPlane, selector: Selector, *, first: int = 1
) -> tuple[dict[int, State], int]:
    """The letters that are not open any more, and the sequence behind the last note read.

    `first` is the sequence from which notes are read.
    """
    found: dict[int, State] = {}
    async for message in _stored(control, note_subject(selector.subject), first=first):
        known = _state_of(message)
        # of both, when two people worked at the same moment, what was run counts
        if known and found.get(known[0]) != "replayed":
            found[known[0]] = known[1]
        first = message.sequence + 1
    return found, first


async def notes(control: ControlPlane, several: Iterable[Letter]) -> dict[int, tuple[Note, ...]]:
    """What was done with each letter, in the order of time; nothing for an open one."""
    found: dict[int, tuple[Note, ...]] = {letter.sequence: () for letter in several}
    for subject in {letter.message.subject for letter in several}:
        async for message in _stored(control, note_subject(subject)):
            known = _state_of(message)
            if known and known[0] in found:
                note = await note_at(control, message.sequence)
                found[known[0]] += (note,) if note else ()
    return found


async def note_at(control: ControlPlane, sequence: int) -> Note | None:
    """A stored note; None when it is gone or cannot be read."""
    message = await control.message(DEADLETTERS, sequence)
    try:
        return msgspec.json.decode(message.payload, type=Note) if message else None
    except (msgspec.DecodeError, UnicodeError):
        return None


async def history(
    control: ControlPlane, letter: Letter, *, on_read: OnRead | None = None
) -> list[HistoryEntry]:
    """Every letter of the same message and handler, the oldest first, with what was done."""
    for key_token in (letter.key_token, "*"):  # a corrected payload may have another key
        subject = deadletter_subject(letter.service, letter.handler, key_token)
        found = await _of_origin(control, letter, subject, on_read)
        known = await notes(control, found)
        corrected = any(note.corrected for several in known.values() for note in several)
        replays = {each.replays for each in found}
        if not corrected and replays == set(range(max(replays) + 1)):
            break
    return [HistoryEntry(each, known[each.sequence]) for each in found]


async def lane_status(control: ControlPlane, letter: Letter) -> str:
    """Where a replayed message is on its handler's lane, in words; empty when it is no longer."""
    lane = lane_subject(letter.service, letter.handler, letter.key_token)
    retry = retry_subject(letter.service, letter.handler, letter.origin)
    stream = lane_stream(letter.service)
    try:
        wanted = [lane, retry, old_subject(retry)]
        async for message in control.history(stream, wanted, headers_only=True):
            if not _is_of(letter, message):
                continue
            if at := scheduled_at(message.headers):
                return f"it will be tried again at {at} ({message.place})"
            return f"it is on its handler's lane ({message.place}), until it has its verdict"
    except ApiError as error:
        if error.code != NOT_FOUND:
            raise
    return ""


async def _of_origin(
    control: ControlPlane, letter: Letter, subject: str, on_read: OnRead | None
) -> Sequence[Letter]:
    found = [letter]
    async for message in _stored(control, subject):
        if message.sequence != letter.sequence and _is_of(letter, message):
            found.append(Letter(message))
        if on_read is not None:
            on_read(message.sequence)
    return sorted(found, key=lambda each: each.sequence)


def _is_of(letter: Letter, message: StoredMessage) -> bool:
    try:
        ours, other = origin_of(letter.message.headers), origin_of(message.headers)
    except ValueError:
        return False
    return ours.is_same(other)


async def _stored(
    control: ControlPlane, subject: str, *, first: int = 1
) -> AsyncIterator[StoredMessage]:
    reading = control.history(DEADLETTERS, [subject], first=first, headers_only=True)
    try:
        async for message in reading:
            yield message
    except ApiError as error:
        if error.code == NOT_FOUND:
            raise LetterError(
                f"There is no stream {DEADLETTERS} on this broker.",
                remedy="Start a service, or run jetmesh apply.",
            ) from error
        raise


def _letter(message: StoredMessage) -> Letter | None:
    address = address_of(message.subject)
    if address is None or address.suffix or message.removal:
        return None
    return Letter(message)


def _state_of(message: StoredMessage) -> tuple[int, State] | None:
    """Which letter a note is about, and what became of it."""
    letter, action = note_of(message.message_id) or (0, "")
    state = STATES.get(action)
    return (letter, state) if state else None
