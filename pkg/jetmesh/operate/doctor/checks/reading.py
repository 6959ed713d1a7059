"""Checks of what is stored: can whoever has to read it do so?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from jetmesh.operate.doctor.facts import Facts
from jetmesh.operate.doctor.finding import Finding, Kind, problem
from jetmesh.operate.doctor.responses import Instance, Unread
from jetmesh.operate.humanize import counted

_Seen: TypeAlias = tuple[str, Unread, Instance]
_REMEDY: Final = (
    "`jetmesh can-deploy` counts what is unread, and why. Run the version that could read it, or "
    "declare an upcaster for it; remove what is no event with `nats stream rmm {stream} {sequence}`"
    ", and restart {service}."
)
SKIPS = problem(
    "read-model-skips",
    "A read model of {about} shows less than is stored: it skipped {events} of {stream}.",
    "an answer to `$SRV.STATS` counts stored events that a read model could not read or apply",
    _REMEDY,
)
UNREAD = problem(
    "cannot-read",
    "{about} cannot read what handlers have stored: {events}, each a dead letter.",
    "an answer to `$SRV.STATS` counts events of other handlers that broke their contract here",
    f"{_REMEDY} Then replay the letters.",
)


def read_models(facts: Facts) -> Iterator[Finding]:
    """Do the read models show what is stored?"""
    for service in facts.topology.services:
        seen = [
            (each.stream, each.unread, instance)
            for instance in facts.instances_of(service.name)
            for each in instance.read_models or ()
        ]
        for _, unread, instance in _worst(seen):
            yield _found(SKIPS, service.name, unread, instance)


def handlers(facts: Facts) -> Iterator[Finding]:
    """Can the handlers read what other handlers have stored?"""
    for service in facts.topology.services:
        seen = [
            (each.name, each.data.unread, instance)
            for instance in facts.instances_of(service.name)
            for each in instance.endpoints or ()
        ]
        for name, unread, instance in _worst(seen):
            yield _found(UNREAD, f"{service.name}.{name}", unread, instance)


def _worst(seen: Sequence[_Seen]) -> list[_Seen]:
    """Of each reader the instance that lacks most: all of them read the same history."""
    worst: dict[str, _Seen] = {}
    for each in seen:
        name, unread, _ = each
        if unread.count and (name not in worst or worst[name][1].count < unread.count):
            worst[name] = each
    return [worst[name] for name in sorted(worst)]


def _found(kind: Kind, about: str, unread: Unread, instance: Instance) -> Finding:
    stream, _, sequence = unread.first.rpartition(":")
    return kind.finding(
        about,
        f"the first is {unread.first}: {unread.why}",
        f"counted by {instance.place}",
        events=counted(unread.count, "event"),
        stream=stream,
        sequence=sequence,
        service=instance.name,
    )


CHECKS: Final = (read_models, handlers)
