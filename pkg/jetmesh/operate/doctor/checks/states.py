"""Checks of what is remembered: does every key go on, and is nothing forgotten?"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
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
    "{about} forgets what is remembered, and which inputs were taken in, {age} after a key's last "
    "step; {inputs} keeps these for {longer}.",
    "max_age of a state's stream is shorter than that of a stream that its handlers read",
    "Set [streams.{about}] max_age to at least that, or none, and `jetmesh apply`: else an input "
    "that comes late, or is replayed, begins a key anew. A handler that returns Forget ends a key "
    "when it is over.",
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
    """Is a key forgotten before the last of its inputs is?"""
    ages = {name: info.config.max_age / 1e9 for name, info in facts.now.streams.items()}
    for spec in facts.topology.events:
        if isinstance(spec, StateSpec) and (age := ages.get(spec.stream)):
            inputs = {
                handler.input.stream
                for handler in facts.topology.handlers
                if handler.remembers and handler.remembers.state is spec
            }
            longest = max(inputs & ages.keys(), key=lambda name: ages[name] or inf, default=None)
            if longest is not None and (ages[longest] or inf) > age:
                longer = span(ages[longest]) if ages[longest] else "ever"
                yield EXPIRES.finding(spec.stream, age=span(age), inputs=longest, longer=longer)


CHECKS: Final = (keys, ages)
