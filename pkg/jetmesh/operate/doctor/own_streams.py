"""What lies in the mesh's own streams: dead letters by fault, lanes by handler, refusals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec

from jetmesh.errors import BrokerError, JetmeshError
from jetmesh.operate.deadletters.letter import Group, Wanted
from jetmesh.operate.deadletters.store import select
from jetmesh.operate.doctor.facts import Lane, LetterGroup, Suspect
from jetmesh.operate.doctor.responses import StreamInfo
from jetmesh.protocol.headers import DEATHS
from jetmesh.protocol.streams import LANES, REFUSALS
from jetmesh.protocol.subjects import RETRY, SUBJECTS, SUSPECT, address_of, lane_subject
from jetmesh.transport.control import ApiError, ControlPlane, time_of

_PAGES: Final = 5
"""Of 100,000 subjects each: more is not looked through."""
_MARKS: Final = 10
_NOT_FOUND: Final = 404


async def faults(control: ControlPlane, info: StreamInfo | None) -> tuple[LetterGroup, ...]:
    """Open dead letters by their fault, the one with the most first."""
    if info is None or not info.state.messages:
        return ()
    try:
        selection = await select(control, Wanted())
    except BrokerError:
        raise
    except JetmeshError:  # the stream was deleted between two requests
        return ()
    return tuple(map(_group, selection.faults()))


async def lanes(control: ControlPlane, info: StreamInfo | None) -> tuple[Lane, ...]:
    """What is open on each lane, with the oldest of it."""
    if info is None or not info.state.messages:
        return ()
    found = by_lane(await _subjects(control, LANES))
    told: list[Lane] = []
    for lane, marks in found.values():
        suspects = [await _suspect(control, subject) for subject in marks[:_MARKS]]
        subject = lane_subject(lane.service, lane.handler, ">")
        oldest = await _first(control, LANES, subject, info.state.first_seq)
        at = time_of(oldest["time"]) if oldest else None
        told.append(replace(lane, suspects=tuple(suspects), oldest=at))
    return tuple(told)


async def refusals(control: ControlPlane, info: StreamInfo | None) -> Mapping[str, int]:
    """Marks of refused outcomes by `service.handler`."""
    if info is None or not info.state.messages:
        return {}
    counts = Counter[str]()
    for subject, count in (await _subjects(control, REFUSALS)).items():
        if address := address_of(subject):
            counts[f"{address.service}.{address.handler}"] += count
    return counts


def by_lane(subjects: Mapping[str, int]) -> dict[tuple[str, str], tuple[Lane, list[str]]]:
    """What is stored in LANES by service and handler, and the subjects of suspect marks."""
    found: dict[tuple[str, str], tuple[Lane, list[str]]] = {}
    for subject, count in sorted(subjects.items()):
        address = address_of(subject)
        if address is None:
            continue  # nobody of ours wrote it
        key = (address.service, address.handler)
        lane, marks = found.setdefault(key, (Lane(*key), []))
        if address.suffix == SUSPECT:
            marks.append(subject)
        elif address.suffix == RETRY:
            found[key] = replace(lane, later=lane.later + count), marks
        else:
            found[key] = replace(lane, waiting=lane.waiting + count), marks
    return found


async def _subjects(control: ControlPlane, stream: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for _ in range(_PAGES):
        body = {"subjects_filter": SUBJECTS[stream], "offset": len(found)}
        answer = await control.api(f"STREAM.INFO.{stream}", body)
        page = msgspec.convert(answer, StreamInfo)
        found |= page.state.subjects
        if not page.state.subjects or len(found) >= page.total:
            break
    return found


async def _first(
    control: ControlPlane, stream: str, subject: str, sequence: int
) -> dict[str, Any] | None:
    """The oldest message on a subject."""
    try:
        body = {"seq": sequence, "next_by_subj": subject}
        answer = await control.api(f"STREAM.MSG.GET.{stream}", body)
    except ApiError as error:
        if error.code == _NOT_FOUND:  # it has its verdict meanwhile
            return None
        raise
    message: dict[str, Any] = answer["message"]
    return message


async def _suspect(control: ControlPlane, subject: str) -> Suspect:
    mark = await control.last(LANES, subject)
    deaths = mark.headers.get(DEATHS, "") if mark else ""
    return Suspect(subject, int(deaths) if deaths.isdecimal() else 0)


def _group(group: Group) -> LetterGroup:
    return LetterGroup(
        fingerprint=group.fingerprint,
        service=group.service,
        handler=group.handler,
        error=group.error,
        where=group.where,
        message=group.example.text,
        count=group.counts["open"],
        newest=group.newest,
        newest_sequence=group.example.sequence,
    )
