"""What lies in the mesh's own streams: dead letters by fault, lanes by handler, refusals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from jetmesh.declare import Topology
from jetmesh.operate.asking.answers import StreamInfo
from jetmesh.operate.deadletters.letter import Group, LetterError, Selector
from jetmesh.operate.deadletters.store import select
from jetmesh.operate.doctor.facts import Lane, ParkedHandler, QuarantineMark
from jetmesh.protocol.headers import DEATHS
from jetmesh.protocol.streams import LANES, REFUSALS, cursor_stream
from jetmesh.protocol.subjects import (
    QUARANTINE,
    RETRY,
    SUBJECTS,
    WAITS,
    address_of,
    cursors_of,
    lane_subject,
)
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.parked import how_many, waiting_keys
from jetmesh.transport.stored import if_exists

_MARKS: Final = 10


async def faults(control: ControlPlane, info: StreamInfo | None) -> tuple[Group, ...]:
    """Open dead letters by their fault, the one with the most first."""
    if info is None or not info.state.messages:
        return ()
    try:
        return tuple((await select(control, Selector())).faults())
    except LetterError:  # the stream was deleted between two requests
        return ()


async def lanes(control: ControlPlane) -> tuple[Lane, ...]:
    """What is open on each lane, with the oldest of it; of services that nobody declares, too."""
    lanes: list[Lane] = []
    for stream in await control.holders(SUBJECTS[LANES]):
        subjects = await if_exists(control.subjects(stream, SUBJECTS[LANES]))
        for lane, marks in by_lane(subjects or {}).values():
            quarantined = [await _mark(control, stream, subject) for subject in marks[:_MARKS]]
            oldest = await control.first(stream, lane_subject(lane.service, lane.handler, ">"))
            lanes.append(
                replace(
                    lane,
                    stream=stream,
                    quarantined=tuple(quarantined),
                    oldest=oldest.stored_at if oldest else None,
                )
            )
    return tuple(lanes)


async def parked(control: ControlPlane, topology: Topology) -> tuple[ParkedHandler, ...]:
    """What waits in each handler that keeps order behind messages that failed.

    Of one that kept order before, and keeps none any more: all that waits.
    """
    kept, found = set(await control.holders(cursors_of("*"))), []
    for handler in (each for each in topology.handlers if cursor_stream(each.service) in kept):
        keys, waiting = await waiting_keys(control, handler)
        counted = [each for each in waiting if each.failed or not handler.ordered]
        messages = {each.behind or each.place: await how_many(control, each) for each in counted}
        keys -= len(waiting) - len(counted)
        if keys:
            found.append(ParkedHandler(handler.title, keys, messages, is_ordered=handler.ordered))
    return tuple(found)


async def refusals(control: ControlPlane, info: StreamInfo | None) -> Mapping[str, int]:
    """Marks of refused outcomes by `service.handler`."""
    if info is None or not info.state.messages:
        return {}
    counts = Counter[str]()
    subjects = await if_exists(control.subjects(REFUSALS, SUBJECTS[REFUSALS]))
    for subject, count in (subjects or {}).items():
        if address := address_of(subject):
            counts[f"{address.service}.{address.handler}"] += count
    return counts


def by_lane(subjects: Mapping[str, int]) -> dict[tuple[str, str], tuple[Lane, list[str]]]:
    """What is stored on lanes by service and handler, and the subjects of quarantine marks."""
    found: dict[tuple[str, str], tuple[Lane, list[str]]] = {}
    for subject, count in sorted(subjects.items()):
        address = address_of(subject)
        if address is None:
            continue  # nobody of ours wrote it
        key = (address.service, address.handler)
        lane, marks = found.setdefault(key, (Lane(*key), []))
        if address.suffix == QUARANTINE:
            marks.append(subject)
        elif address.suffix == WAITS:
            continue  # it stands for a key; what waits lies in its stream
        elif address.suffix == RETRY:
            found[key] = replace(lane, scheduled=lane.scheduled + count), marks
        else:
            found[key] = replace(lane, due=lane.due + count), marks
    return found


async def _mark(control: ControlPlane, stream: str, subject: str) -> QuarantineMark:
    mark = await control.last(stream, subject)
    deaths = mark.headers.get(DEATHS, "") if mark else ""
    return QuarantineMark(subject, int(deaths) if deaths.isdecimal() else 0)
