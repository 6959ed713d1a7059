"""Checks of what did not end as its handler meant: dead letters, lanes, quarantine, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from jetmesh.errors import ContractViolation
from jetmesh.operate.deadletters.letter import Letter
from jetmesh.operate.doctor.facts import Facts
from jetmesh.operate.doctor.finding import Finding, folded, note, problem, warning
from jetmesh.operate.humanize import counted, listed, messages_wait, span
from jetmesh.protocol.streams import DEADLETTERS

_GROUPS: Final = 10
_MUCH: Final = 1000
"""So many messages may wait behind failed ones before that is a problem."""

GROWING = problem(
    "dead-letters-grow",
    "{about} is giving up messages right now: {letters} for one reason.",
    "dead letters of a group came between the two looks",
    "Fix {where}, or what it depends on; then "
    "`jetmesh deadletters replay --fingerprint {fingerprint}`.",
)
OPEN = warning(
    "dead-letters",
    "{about} gave up {letters} for one reason.",
    "dead letters are open, neither replayed nor dropped; one finding for each fingerprint",
    "`jetmesh deadletters show` shows one of them; fix the cause, then "
    "`jetmesh deadletters replay --fingerprint {fingerprint}`, or drop them with --why.",
)
UNREADABLE = problem(
    "dead-letters-unreadable",
    "{about} could not read {letters} that handlers of this system had stored.",
    "open dead letters of a broken contract stand for events that a handler publishes: two "
    "versions of a contract met, and this is no garbage of somebody else",
    "`jetmesh can-deploy` says what this checkout can read. Run a version that reads them, or "
    "declare an upcaster; then `jetmesh deadletters replay --fingerprint {fingerprint}`.",
)
MORE = warning(
    "dead-letters-more",
    "There are dead letters for more reasons.",
    "more than 10 fingerprints have open letters",
    "`jetmesh deadletters ls` shows all of them.",
)
ON_LANE = note(
    "on-lane",
    "{waiting} on the lane of {about}.",
    "a lane stream holds slow retries and replayed dead letters until they have their verdict",
    "Nothing, as long as there are fewer each time: the log of {service} says why it retries.",
)
LOST_LANE = warning(
    "lost-lane",
    "{waiting} on the lane of {about}, which no service declares.",
    "a lane stream holds messages for a handler that was renamed or removed",
    "Bring the handler back until they are done, or remove them: "
    "`nats stream purge {stream} --subject 'lanes.{about}.>'`.",
)
QUARANTINED = warning(
    "quarantine",
    "{about} runs {messages} in quarantine: processes may have died of such a message.",
    "there are quarantine marks in a lane stream; ADR 8 says what that is",
    "Find out why processes of {service} die; a message that kills them becomes a dead letter.",
)
PARKED = warning(
    "parked",
    "{keys} of {about} {wait} behind a message that failed, with {messages} more.",
    "an ordered handler has keys whose next message is on the lane or a dead letter",
    "`jetmesh deadletters ls` names what failed; fix the cause and replay it, or drop it: those "
    "behind it go on in order. What waits is in its stream, and goes with it at its max_age.",
)
PARKED_MUCH = problem(
    "parked-much",
    "{messages} of {about} wait behind a message that failed; other keys go on.",
    "more than 1,000 messages of an ordered handler wait behind messages that failed",
    "Fix the cause and `jetmesh deadletters replay` what failed, or drop it with --why, before "
    "the stream's max_age takes away what waits.",
)
PARKED_LEFT = warning(
    "parked-left",
    "{keys} of {about} {wait} for their turn, with {messages}, and nobody keeps their order now.",
    "keys waited when `ordered=True` was taken away, or processes without it do not run yet",
    "Nothing, if there are fewer each time: a process without ordered=True lets a key go once it "
    "stood still for ack_wait and 5 s. Else its /readyz says what it lacks: leave its user on the "
    "broker what it had before, or set ordered=True again.",
)
REFUSALS = note(
    "refusals",
    "{count} could not be stored, because the key had its outcome already.",
    "the stream REFUSALS holds marks",
    "`nats stream view REFUSALS` shows which; `jetmesh trace KEY` tells the story of one.",
)


def dead_letters(facts: Facts) -> Iterator[Finding]:
    """Was something given up, and does it become more?"""
    groups, before = facts.now.letters, facts.stream_before(DEADLETTERS)
    for group in groups[:_GROUPS]:
        newest = group.example
        handler = f"{newest.service}.{newest.handler}"
        kind = UNREADABLE if _is_of_a_handler(facts, newest) else OPEN
        if before is not None and newest.sequence > before.state.last_seq:
            kind = GROWING
        yield kind.finding(
            handler,
            f"{newest.error}: {newest.text}" if newest.text else newest.error,
            f"at {newest.where}" if newest.where else "",
            f"the newest {_ago(facts, group.newest)}",
            fingerprint=newest.fingerprint,
            letters=counted(group.count, "message"),
            where=newest.where or handler,
        )
    if hidden := groups[_GROUPS:]:
        letters = counted(sum(group.count for group in hidden), "message")
        yield MORE.finding(DEADLETTERS, f"{letters} of {counted(len(hidden), 'reason')}")


def lanes(facts: Facts) -> Iterator[Finding]:
    """What is still open on lanes, and will somebody take it?"""
    declared = {(handler.service, handler.name) for handler in facts.topology.handlers}
    lost = []
    for lane in facts.now.lanes:
        name, count = f"{lane.service}.{lane.handler}", lane.due + lane.scheduled
        if not count:
            continue
        oldest = f"the oldest came {_ago(facts, lane.oldest)}" if lane.oldest else ""
        seen = f"{lane.due:,} due, {lane.scheduled:,} wait for their time"
        values = {"waiting": messages_wait(count), "service": lane.service, "stream": lane.stream}
        if (lane.service, lane.handler) in declared:
            yield ON_LANE.finding(name, seen, oldest, **values)
        else:
            lost.append(LOST_LANE.finding(name, seen, oldest, **values))
    sentence = "Messages wait on the lanes of {count} handlers that no service declares."
    remedy = LOST_LANE.remedy.format(about="SERVICE.HANDLER", stream="LANES_SERVICE")
    yield from folded(lost, "lanes", sentence, remedy)


def parked(facts: Facts) -> Iterator[Finding]:
    """Do messages wait, because the one before them failed?"""
    for handler in facts.now.parked:
        waiting = sum(handler.messages.values())
        kind = PARKED_MUCH if waiting > _MUCH else PARKED
        kind = kind if handler.is_ordered else PARKED_LEFT
        seen = [f"{count:,} behind {place}" for place, count in handler.messages.items()]
        yield kind.finding(
            handler.about,
            listed(seen) if seen else "",
            keys=counted(handler.keys, "key"),
            wait="waits" if handler.keys == 1 else "wait",
            messages=counted(waiting, "message"),
        )


def quarantine(facts: Facts) -> Iterator[Finding]:
    """Is a message suspected of killing processes?"""
    for lane in facts.now.lanes:
        if lane.quarantined:
            evidence = [
                f"{each.subject}: {counted(each.deaths, 'run')}" for each in lane.quarantined
            ]
            name, messages = f"{lane.service}.{lane.handler}", counted(len(evidence), "message")
            yield QUARANTINED.finding(name, *evidence, messages=messages, service=lane.service)


def refusals(facts: Facts) -> Iterator[Finding]:
    """Were second outcomes refused?"""
    by = facts.now.refusals
    if by:
        seen = listed([f"{name} {count:,}" for name, count in sorted(by.items())])
        yield REFUSALS.finding("refusals", seen, count=counted(sum(by.values()), "second outcome"))


CHECKS: Final = (dead_letters, lanes, parked, quarantine, refusals)


def _is_of_a_handler(facts: Facts, letter: Letter) -> bool:
    """Whether it stands for a handler's event with a field that breaks the contract."""
    if letter.error != ContractViolation.__name__ or not letter.where.startswith("field "):
        return False
    published = {spec for each in facts.topology.handlers for spec in each.outputs}
    title = f"{letter.service}.{letter.handler}"
    return any(h.title == title and h.input in published for h in facts.topology.handlers)


def _ago(facts: Facts, at: datetime) -> str:
    return f"{span(facts.age(at))} ago"
