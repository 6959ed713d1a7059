"""Checks of what is stored: can whoever has to read it do so?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from jetmesh.operate.asking.answers import Instance, Unread
from jetmesh.operate.doctor.facts import Facts
from jetmesh.operate.doctor.finding import Finding, Kind, problem
from jetmesh.operate.humanize import counted

_Seen: TypeAlias = tuple[tuple[str, ...], Unread, Instance]
"""A reader, what it could not read, and which process counted that."""
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
    yield from _found(
        SKIPS, [((at.name, each.stream), each.unread, at) for at, each in facts.folds()]
    )


def handlers(facts: Facts) -> Iterator[Finding]:
    """Can the handlers read what other handlers have stored?"""
    yield from _found(
        UNREAD, [((about,), each.data.unread, at) for about, at, each in facts.endpoints()]
    )


def _found(kind: Kind, seen: Sequence[_Seen]) -> Iterator[Finding]:
    """For each reader what that process says which lacks most: all read the same history."""
    most: dict[tuple[str, ...], tuple[Unread, Instance]] = {}
    for reader, unread, instance in seen:
        if unread.count > (most[reader][0].count if reader in most else 0):
            most[reader] = unread, instance
    for reader in sorted(most):
        unread, instance = most[reader]
        stream, _, sequence = unread.first.rpartition(":")
        yield kind.finding(
            reader[0],
            f"the first is {unread.first}: {unread.why}",
            f"counted by {instance.place}",
            events=counted(unread.count, "event"),
            stream=stream,
            sequence=sequence,
            service=instance.name,
        )


CHECKS: Final = (read_models, handlers)
