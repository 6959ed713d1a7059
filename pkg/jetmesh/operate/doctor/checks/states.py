"""Checks of what is remembered: does every key go on, and is nothing forgotten?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from jetmesh.declare import StateSpec
from jetmesh.operate.doctor.facts import Facts
from jetmesh.operate.doctor.finding import Finding, problem, warning
from jetmesh.operate.humanize import counted, span
from jetmesh.privacy.mask import printable
from jetmesh.protocol.steps import FULL

FORGED = problem(
    "state-forged",
    "{about} waits: what stands on its key was written by no step.",
    "the newest message of a key has headers that no step of its handlers writes",
    "`jetmesh heal {place}` shows it and, once confirmed, removes it; the key then goes on with "
    "what stood before it, or with nothing. Find out who may publish on that subject.",
)
CROWDED = warning(
    "state-waits",
    "{keys} of {about} wait, or will soon: they can remember no more inputs one by one.",
    f"of {FULL} that a key can remember three quarters are above the ack floor of their durable, "
    "or wait on a lane or in dead letters",
    "Replay or drop the dead letters of its handlers (`jetmesh deadletters ls`), and see what "
    "holds the ack floor: one message that is handled for long keeps it low for all keys.",
)
EXPIRES = warning(
    "state-expires",
    "The stream {about} forgets what is remembered, and which inputs were taken in, {age} after a "
    "key's last step.",
    "max_age of a state's stream is set",
    "Fine where nothing about a key comes that late; else remove max_age from [streams.{about}] "
    "and `jetmesh apply`: an input that is replayed later begins a key anew. A handler that "
    "returns Forget ends a key when it is over.",
)


def keys(facts: Facts) -> Iterator[Finding]:
    """Does every key go on?"""
    for look in facts.now.states:
        for place, why in look.forged:
            yield FORGED.finding(look.state, f"{place}: {printable(why)}", place=place)
        if look.crowded:
            worst = max(look.crowded, key=lambda each: max(each.above, each.waiting))
            yield CROWDED.finding(
                look.state,
                f"{printable(worst.key)} has {worst.above} above the floor, {worst.waiting} on "
                "lanes or in letters",
                keys=counted(len(look.crowded), "key"),
            )


def ages(facts: Facts) -> Iterator[Finding]:
    """Is anything forgotten that nobody told to be?"""
    remembered = {s.stream for s in facts.topology.events if isinstance(s, StateSpec)}
    for name in sorted(remembered & facts.now.streams.keys()):
        if age := facts.now.streams[name].config.max_age:
            yield EXPIRES.finding(name, age=span(age / 1e9))


CHECKS: Final = (keys, ages)
