"""The answer of `can-deploy`: as data for programs, and as sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from jetmesh.operate.candeploy.deadlines import WaitingEvents
from jetmesh.operate.candeploy.letters import OpenLetters
from jetmesh.operate.candeploy.processes import Processes, ProcessTally
from jetmesh.operate.candeploy.readings import Reading
from jetmesh.operate.candeploy.rollout import Unreadable
from jetmesh.operate.candeploy.tally import Failure, Meeting, StoredEvents
from jetmesh.operate.humanize import counted, listed

Tone: TypeAlias = Literal["good", "odd", "bad", "detail"]
_YES: Final = "It can be deployed."
_NEWER: Final = "Deploy what knows it."
_REMEDY: Final = (
    "Keep the old field, or declare a version and what makes it of the old one "
    "(@event(…, version=…), @upcasts); `jetmesh contracts check` says what else changed."
)


class Span(Struct):
    """What was read of a stream."""

    stream: str
    first: int
    last: int


class Report(Struct):
    """Whether the new code can read what the broker holds."""

    events: list[StoredEvents]
    lanes: list[StoredEvents]
    letters: list[OpenLetters]
    rollout: list[Unreadable]
    """What old processes could not read while new ones write it."""
    streams: list[Span]
    processes: list[Processes]
    """Where live processes stand."""
    deadlines: list[WaitingEvents]
    """Events that are to come later."""
    seconds: float = 0.0
    accepted: int = 0
    """So many unreadable messages keep nothing from being deployed."""

    @property
    def unreadable(self) -> int:
        """Messages that would be dead-lettered, skipped, or could be replayed no more."""
        stored = sum(each.unreadable for each in (*self.events, *self.lanes))
        stored += sum(each.unreadable for each in self.deadlines)
        return stored + sum(each.lost for each in self.letters)

    @property
    def deployable(self) -> bool:
        return self.unreadable <= self.accepted and not self.rollout


def report_of(
    readings: Iterable[Reading], mixed: list[Unreadable], seconds: float, accepted: int
) -> Report:
    """What was counted while everything was read."""
    report = Report([], [], [], mixed, [], [], [], round(seconds, 3), accepted)
    for reading in readings:
        into = report.lanes if reading.is_lane else report.events
        into += [stored for each in reading.tallies if (stored := each.result()).stored]
        standing = [each.processes() for each in reading.tallies if isinstance(each, ProcessTally)]
        report.processes += [each for each in standing if each.steps]
        report.deadlines += [each for of in reading.waiting for each in of.events()]
        report.letters += [found for each in reading.letters if (found := each.result()).open]
        report.streams.append(Span(reading.stream, reading.first, reading.last))
    return report


def sentences(report: Report) -> Iterator[tuple[Tone, str]]:
    """A line for each event, lane and handler with letters, then the answer."""
    for each in report.events:
        yield from _stored(each, f"stored {each.subject}")
    for each in report.lanes:
        yield from _stored(each, f"{each.subject} on the lane of {each.readers[0].reader}")
    for processes in report.processes:
        yield from _processes(processes)
    for waiting in report.deadlines:
        yield from _waiting(waiting)
    for letters in report.letters:
        yield from _letters(letters)
    for mixed in report.rollout:
        yield from _mixed(mixed)
    if not (report.events or report.lanes or report.deadlines or report.letters):
        yield "good", "Nothing is stored that anybody here would meet."
    yield from _answer(report)


def _stored(found: StoredEvents, what: str) -> Iterator[tuple[Tone, str]]:
    tone: Tone = "bad" if found.unreadable else "good"
    yield tone, f"{found.decode:,} of {found.stored:,} {what} decode"
    for each in found.failures:
        yield "bad", f"    {_failure(each)}"
    yield from _met(found.readers)
    if found.strange:
        yield "odd", f"    {found.strange:,} fit no released version, either"
    if found.no_events:
        yield "odd", f"    {found.no_events:,} are no JSON objects: never were they events"


def _met(readers: Iterable[Meeting]) -> Iterator[tuple[Tone, str]]:
    for reader in readers:
        if reader.unreadable:
            act = "dead-letter" if reader.is_handler else "skip"
            yield "bad", f"    {reader.reader} would {act} {reader.unreadable:,}"
        if reader.waits:
            yield "bad", f"    {reader.reader} would wait with {reader.waits:,} for newer code"


def _waiting(found: WaitingEvents) -> Iterator[tuple[Tone, str]]:
    decode = found.waiting - found.unreadable
    what = f"{found.subject} to come later, of {found.place}, decode"
    tone: Tone = "bad" if found.unreadable else "good"
    yield tone, f"{decode:,} of {found.waiting:,} {what}"
    for each in found.failures:
        yield "bad", f"    {_failure(each)}"
    yield from _met(found.readers)


def _processes(found: Processes) -> Iterator[tuple[Tone, str]]:
    where = ", ".join(f"{count:,} in {step}" for step, count in found.steps.items())
    yield "bad" if found.stuck else "good", f"processes {found.process}: {where}"
    for sentence in found.sentences():
        yield "bad", f"    {sentence}"


def _letters(found: OpenLetters) -> Iterator[tuple[Tone, str]]:
    name = f"{counted(found.open, 'dead letter')} of {found.handler}"
    if not found.fail:
        yield "good", f"{name}: all decode" if not found.left else f"{name}"
    else:
        yield ("bad" if found.lost else "odd"), f"{name}: {found.fail:,} would still fail"
    if found.lost:
        yield "bad", f"    {found.lost:,} of them could be replayed until now"
    for each in found.failures:
        yield "detail", f"    {_failure(each)}"
    if found.left:
        yield "detail", f"    {found.left:,} left their payload in its stream and count there"


def _mixed(found: Unreadable) -> Iterator[tuple[Tone, str]]:
    failed = f"{found.failed:,} of {found.samples:,} samples of the new {found.subject}"
    yield "bad", f"{failed} cannot be read by processes that know release {found.release}"
    yield "bad", f"    {found.why}"
    yield "bad", f"    until they are replaced: {listed(found.readers)}"


def _failure(failure: Failure) -> str:
    known = listed([f"version {each}" for each in failure.released])
    could = f"; {known} could be read" if known else ""
    return f"{failure.count:,}: {failure.why}, the first is {failure.first}{could}"


def _answer(report: Report) -> Iterator[tuple[Tone, str]]:
    if report.deployable and not report.unreadable:
        yield "good", _YES
        return
    if report.deployable:
        yield "odd", f"{_YES} {counted(report.unreadable, 'unreadable message')}, as accepted."
        return
    losses = _losses(report)
    remedy = _NEWER if all("newer code" in each for each in losses) else _REMEDY
    yield "bad", f"It cannot be deployed: {listed(losses)}. {remedy}"


def _losses(report: Report) -> list[str]:
    """What would become of what cannot be read, in words."""
    readers = [each for found in (*report.events, *report.lanes) for each in found.readers]
    dead = sum(each.unreadable for each in readers if each.is_handler)
    skipped = sum(each.unreadable for each in readers if not each.is_handler)
    subjects = listed(sorted({each.subject for each in report.rollout})) if report.rollout else ""
    waiting = sum(each.waits for each in readers) + sum(each.newer for each in report.deadlines)
    late = sum(each.lost for each in report.deadlines)
    lost = sum(each.lost for each in report.letters)
    stuck = sum(sum(each.stuck.values()) for each in report.processes)
    losses = [
        f"{counted(stuck, 'process')} would be stuck" if stuck else "",
        f"{counted(dead, 'message')} would be dead-lettered" if dead else "",
        f"{counted(skipped, 'event')} skipped by read models" if skipped else "",
        f"{counted(late, 'event')} to come later would be lost" if late else "",
        f"{counted(waiting, 'message')} would wait for newer code" if waiting else "",
        f"{counted(lost, 'dead letter')} could be replayed no more" if lost else "",
        f"old processes could not read new {subjects}" if subjects else "",
    ]
    return [each for each in losses if each]
