"""Checks of the ceilings: how far is it, with what is stored now and comes in?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from jetmesh.operate.asking.answers import StreamInfo, stamp
from jetmesh.operate.ceilings.ceiling import Ceiling
from jetmesh.operate.ceilings.checks import ceilings
from jetmesh.operate.ceilings.load import DAY, Load, Place, StreamLoad
from jetmesh.operate.ceilings.seen import as_there, servers
from jetmesh.operate.doctor.facts import Facts
from jetmesh.operate.doctor.finding import Finding, Kind, note, problem, warning

_ELSEWHERE: Final = {"max-bytes", "volume"}
"""Limits that are told with their growth where they are near: stream-near, storage-near."""

PASSED = problem(
    "ceiling-passed",
    "{sentence}",
    "what is there or comes in is more than a limit of docs/scale.md",
    "{remedy}",
)
NEAR = warning(
    "ceiling-near",
    "{sentence}",
    "four fifths of a limit of docs/scale.md are used",
    "{remedy}",
)
AHEAD = note(
    "ceiling-ahead",
    "{sentence}",
    "at the rate at which a stream grew since it was made, a limit of docs/scale.md is reached "
    "within a year; streams that are younger than a day are not judged",
    "{remedy}",
)


def near(facts: Facts) -> Iterator[Finding]:
    """Does it end soon?"""
    topology = as_there(facts.topology, facts.now.streams)
    for each in ceilings(topology, _load(facts), _place(facts)):
        if each.state != "far" and each.code not in _ELSEWHERE:
            kind = _kind(each)
            evidence = each.reached, f"the limit: {each.source}"
            yield kind.finding(each.about, *evidence, sentence=each.sentence, remedy=each.remedy)


def _kind(found: Ceiling) -> Kind:
    if found.state == "near":
        return NEAR
    return PASSED if found.is_now else AHEAD


def _place(facts: Facts) -> Place:
    statuses = [each.varz.jetstream.config for each in facts.now.server_statuses]
    known = [each for each in statuses if each is not None]
    count = servers(info.cluster for info in facts.now.streams.values())
    return Place(
        max(count, len(facts.now.server_statuses)),
        syncs_always=bool(known) and all(each.sync_always for each in known),
    )


def _load(facts: Facts) -> Load:
    streams = {name: _of(facts, name, info) for name, info in facts.now.streams.items()}
    handlers = {}
    if facts.elapsed:
        for each in facts.durables():
            if not each.spec.lane:
                handlers[each.handler.title] = max(each.delivered, 0) / facts.elapsed
    pods = Counter(each.name for each in facts.now.instances or ())
    return Load(streams, handlers, {}, pods, "at the rate so far")


def _of(facts: Facts, name: str, info: StreamInfo) -> StreamLoad:
    """What a stream gets between the looks, and how it grew since it was made."""
    before = facts.stream_before(name)
    stored = info.state.last_seq - before.state.last_seq if before else 0
    made = stamp(info.created)
    age = facts.age(made) if made else 0.0
    keys, held = info.state.num_subjects, info.state.bytes
    return StreamLoad(
        rate=max(stored, 0) / facts.elapsed if facts.elapsed else 0.0,
        keys=keys,
        keys_rate=keys / age if age > DAY else 0.0,
        bytes=held,
        bytes_rate=held / age if age > DAY else 0.0,
    )


CHECKS: Final = (near,)
