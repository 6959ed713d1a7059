"""Replaying and dropping dead letters, and noting it: the replay first, then its note.

Stopped between the two, a letter still counts as open. Replaying it once more is harmless: the
broker knows its message id and stores it once, so nothing is ever lost and nothing run twice.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import msgspec

from jetmesh.declare import EventSpec, Topology
from jetmesh.errors import BrokerError, JetmeshError
from jetmesh.operate.deadletters.letter import Action, Letter, LetterError, Note
from jetmesh.operate.deadletters.payload import Content, content_of
from jetmesh.operate.deadletters.store import find, note_at, notes
from jetmesh.operate.humanize import counted
from jetmesh.operate.order import is_done, waits_for
from jetmesh.operate.publish import check
from jetmesh.protocol.cursors import DROP
from jetmesh.protocol.headers import DEADLINE, EVENT_VERSION, LINE, MESSAGE_ID
from jetmesh.protocol.ids import note_id, other_id, replay_id
from jetmesh.protocol.streams import DEADLETTERS, is_lane_stream, lane_stream
from jetmesh.protocol.subjects import NO_KEY, lane_subject, note_subject
from jetmesh.protocol.versions import WHICHEVER, said
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.stored import NO_STREAM, NOT_FOUND, ApiError, PubAck


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one letter at the desk."""

    letter: str
    result: Literal["replayed", "dropped", "others", "refused"]
    """`others` did it at the same moment, or shortly before."""
    text: str
    """The whole of it in one sentence."""


@dataclass(frozen=True, slots=True)
class Replay:
    """A letter's message, as it will be put on the lane of its handler."""

    letter: Letter
    subject: str
    payload: bytes
    headers: dict[str, str]
    corrected: bool = False
    before: int = 0
    """How often it was replayed already."""

    def dry_run(self) -> Outcome:
        """What a dry run says."""
        text = f"{self.letter.id} would be replayed on {self.subject}."
        return Outcome(self.letter.id, "replayed", text)


@dataclass(slots=True)
class Desk:
    """One person's work on letters."""

    control: ControlPlane
    by: str
    why: str = ""
    topology: Topology | None = None
    """None where no project is known: nothing is checked against a contract then."""
    _lanes: dict[tuple[str, str], JetmeshError | None] = field(default_factory=dict)
    """Handlers that were looked for, and why nothing can be replayed to them."""

    # one letter

    async def open(self, sequence: int, *, again: bool = False) -> Letter:
        """A letter with which nothing was done yet, or whatever was done with `again`.

        Raises:
            JetmeshError: there is no such letter, or it is not open.
        """
        letter = await find(self.control, sequence)
        done = (await notes(self.control, [letter]))[sequence]
        if done and not again:
            raise JetmeshError(
                f"{letter.id} is not open: it was {describe(done[-1])}.",
                remedy="Replay it all the same with --again; had it failed again, there would be "
                f"a newer letter: jetmesh deadletters show {sequence}.",
            )
        return letter

    async def prepare(
        self, letter: Letter, *, corrected: bytes | None = None, again: bool = False
    ) -> Replay:
        """What a replay would send.

        Raises:
            ContractViolation: a corrected payload breaks the contract; it names the field.
            JetmeshError: its handler is gone, or its payload.
        """
        await self._check_lane(letter)
        origin = letter.origin
        if is_lane_stream(origin.stream):
            raise JetmeshError(
                f"{letter.id} stands for no event: its message was typed on the handler's lane.",
                remedy="Publish the event instead: jetmesh publish SUBJECT FILE.",
            )
        if self._keeps_order(letter) and await is_done(self.control, letter):
            raise JetmeshError(
                f"{letter.id} is done: its key went on without it, so nothing would run.",
                remedy="Drop it, if it is open; what is still to do needs an event of its own.",
            )
        done = (await notes(self.control, [letter]))[letter.sequence] if again else ()
        before = sum(note.action == "replay" for note in done)
        token = letter.key_token
        if corrected is None:
            content = await content_of(self.control, letter)
        else:
            token = self._checked_token(letter, corrected)
            content = await self._with_headers(letter, corrected)
        headers = {
            **self._headers(letter, content, corrected=corrected is not None),
            **origin._replace(attempts=0, replays=origin.replays + before + 1).headers(),
            MESSAGE_ID: replay_id(letter.sequence, letter.message.stored_ns, before),
        }
        subject = lane_subject(letter.service, letter.handler, token)
        return Replay(letter, subject, content.payload, headers, corrected is not None, before)

    async def send(self, replay: Replay) -> Outcome:
        """Replay one letter and note it.

        Raises:
            BrokerError: the broker refused it or did not answer; it is as it was.
            JetmeshError: it was replayed, but that could not be noted.
        """
        return await self.record(replay, await self.publish(replay))

    async def drop(self, letter: Letter) -> Outcome:
        """Note that nothing is to be done about a letter; it stays stored.

        Raises:
            BrokerError: the broker refused the note or did not answer.
        """
        waited = await waits_for(self.control, letter)
        if letter.header(LINE):
            await self._let_go(letter)
        ack = await self._note(letter, "drop")
        if not ack.duplicate:
            more = f" {counted(waited, 'message')} behind it can go on." if waited else ""
            return Outcome(letter.id, "dropped", f"{letter.id} was dropped.{more}")
        text = f"{letter.id} was dropped{await self._others(ack)} at this same moment."
        return Outcome(letter.id, "others", text)

    # steps

    async def _let_go(self, letter: Letter) -> None:
        """Tell an ordered handler that what waits behind a letter need not wait any more."""
        if await _missing(self.control, letter) is not None:
            return  # nobody waits
        identity = note_id(letter.sequence, letter.message.stored_ns, "drop")
        headers = {**letter.origin._replace(line=DROP).headers(), MESSAGE_ID: identity}
        subject = lane_subject(letter.service, letter.handler, letter.key_token)
        await self.control.publish(subject, b"", headers)

    async def _check_lane(self, letter: Letter) -> None:
        """Nobody would ever take what lies on the lane of a handler that is gone."""
        name = (letter.service, letter.handler)
        if name not in self._lanes:
            self._lanes[name] = await _missing(self.control, letter)
        if (problem := self._lanes[name]) is not None:
            raise problem

    def _keeps_order(self, letter: Letter) -> bool:
        handlers = self.topology.handlers if self.topology else ()
        name = letter.service, letter.handler
        return any(each.ordered and (each.service, each.name) == name for each in handlers)

    def input_of(self, letter: Letter) -> EventSpec | None:
        """What the letter's handler takes, None when the topology does not know the handler."""
        for handler in self.topology.handlers if self.topology else ():
            if (handler.service, handler.name) == (letter.service, letter.handler):
                return handler.input
        return None

    def _checked_token(self, letter: Letter, corrected: bytes) -> str:
        spec = self.input_of(letter)
        if spec is None:
            return letter.key_token
        (checked,) = check(spec, [corrected])
        return checked.subject.removeprefix(spec.subject).removeprefix(".") or NO_KEY

    async def _with_headers(self, letter: Letter, corrected: bytes) -> Content:
        """A corrected payload, with the headers of the one it replaces as far as they are there."""
        try:
            return (await content_of(self.control, letter))._replace(payload=corrected)
        except LetterError:  # the original is gone
            return Content(corrected, {})

    def _headers(self, letter: Letter, content: Content, *, corrected: bool) -> dict[str, str]:
        """Those of the content, with the version that its handler is to read it as.

        A correction keeps the newest contract. An event from outside is of any that decodes: the
        letter may be older than the contract that it keeps.
        """
        spec, headers = self.input_of(letter), dict(content.headers)
        if deadline := letter.header(DEADLINE):  # not for the handler: it rings once more
            return {**headers, DEADLINE: deadline}
        if self.topology is None or spec is None:
            return headers
        if corrected:
            headers.pop(EVENT_VERSION, None)
            return {**headers, **said(spec.version)}
        if spec.version > 1 and spec in self.topology.from_outside:
            return {**said(WHICHEVER), **headers}
        return headers

    async def publish(self, replay: Replay) -> PubAck:
        try:
            return await self.control.publish(replay.subject, replay.payload, replay.headers)
        except BrokerError as error:
            if replay.letter.payload_in_stream or replay.corrected:
                error.remedy = (
                    f"{error.remedy} With its headers it has more than {len(replay.payload)} bytes:"
                    " see max_payload in the server's configuration."
                ).strip()
            raise

    async def record(self, replay: Replay, put: PubAck) -> Outcome:
        """Note that a replay was put on its lane."""
        letter, place = replay.letter, f"{put.stream}:{put.sequence}"
        try:
            ack = await self._note(letter, "replay", replay, put)
        except BrokerError as error:
            raise JetmeshError(
                f"{letter.id} was replayed as {place}, but the note could not be stored: {error}",
                remedy="It still counts as open: drop it once the broker takes notes again.",
            ) from error
        if not put.duplicate:
            return Outcome(letter.id, "replayed", f"{letter.id} was replayed as {place}.")
        by = await self._others(ack)
        text = f"{letter.id} was replayed{by} at this same moment ({place}); it was not sent twice."
        return Outcome(letter.id, "others", text)

    async def _note(
        self,
        letter: Letter,
        action: Action,
        replay: Replay | None = None,
        put: PubAck | None = None,
    ) -> PubAck:
        note = Note(
            action=action,
            letter=letter.sequence,
            by=self.by,
            at=datetime.now(UTC),
            why=self.why,
            corrected=replay.corrected if replay else False,
            lane=put.stream if put else "",
            lane_sequence=put.sequence if put else 0,
        )
        before = replay.before if replay else 0
        identity = note_id(letter.sequence, letter.message.stored_ns, action, before)
        subject, payload = note_subject(letter.message.subject), msgspec.json.encode(note)
        ack = await self.control.publish(subject, payload, {MESSAGE_ID: identity})
        if not ack.duplicate or await self._is_noted(ack.sequence, subject, identity):
            return ack
        # somebody took the id on a subject of theirs (ADR-0017); of this one they cannot know
        identity = other_id(identity, secrets.randbits(40))
        return await self.control.publish(subject, payload, {MESSAGE_ID: identity})

    async def _is_noted(self, sequence: int, subject: str, identity: str) -> bool:
        """Whether what the broker calls a duplicate is a note of this very act."""
        found = await self.control.message(DEADLETTERS, sequence)
        return found is not None and (found.subject, found.message_id) == (subject, identity)

    async def _others(self, ack: PubAck) -> str:
        """Whose the note is that was there before; empty for our own."""
        other = await note_at(self.control, ack.sequence) if ack.duplicate else None
        return f" by {other.by}" if other else ""


async def _missing(control: ControlPlane, letter: Letter) -> JetmeshError | None:
    """Why nothing can be replayed to the handler of a letter, None when it can."""
    name, durable = f"{letter.service}.{letter.handler}", f"{letter.service}-{letter.handler}"
    stream = lane_stream(letter.service)
    try:
        await control.api(f"CONSUMER.INFO.{stream}.{durable}")
    except ApiError as error:
        if error.code != NOT_FOUND:
            raise
        gone = f"{stream} has no durable {durable}"
        if error.err_code == NO_STREAM:
            gone = f"there is no stream {stream}"
    else:
        return None
    return JetmeshError(
        f"The handler {name} does not exist on this broker (any more): {gone}.",
        remedy="Start a service that declares it, or run jetmesh apply; if it is gone for good, "
        f"jetmesh deadletters drop --service {letter.service} --handler {letter.handler} --why …",
    )


def describe(note: Note) -> str:
    """A note as part of a sentence."""
    how = " with a corrected payload" if note.corrected else ""
    why = f" ({note.why})" if note.why else ""
    return f"{note.state}{how} by {note.by} on {note.at:%Y-%m-%d at %H:%M:%S} UTC{why}"
