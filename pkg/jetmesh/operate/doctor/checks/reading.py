"""Checks of what is stored: can whoever has to read it do so?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from jetmesh.operate.asking.answers import Instance, Unread
from jetmesh.operate.doctor.facts import Facts
from jetmesh.operate.doctor.finding import Finding, Kind, problem, warning
from jetmesh.operate.humanize import counted, listed
from jetmesh.operate.up.access import AS_OPERATOR
from jetmesh.protocol.unread import lacking, read_model_of


class _Seen(NamedTuple):
    """What a reader could not read, as one process says it."""

    about: str
    reader: str
    """As the process calls it."""
    unread: Unread
    instance: Instance


_REMOVE: Final = (
    "as the operator, with `nats stream rmm {stream} {sequence}` (at the broker of `jetmesh up`: "
    f"`{AS_OPERATOR} stream rmm {{stream}} {{sequence}}`)"
)
_REMEDY: Final = (
    "`jetmesh can-deploy` counts what is unread, and why. Run the version that could read it, or "
    f"declare an upcaster for it; remove what is no event {_REMOVE}, and restart {{service}}."
)
SKIPS = problem(
    "read-model-skips",
    "A read model of {about} shows less than is stored: it skipped {events} of {stream}.",
    "an answer to `$SRV.STATS` counts stored events of services that a read model could not read, "
    "or any that it could not apply; one finding for all that skip the same",
    _REMEDY,
)
STRANGE = warning(
    "strange-from-outside",
    "Somebody outside published {messages} to {stream} that no read model of {about} can read.",
    "an answer to `$SRV.STATS` counts JSON objects of events that come from outside and that a "
    "read model passed over; one finding for all that passed over the same",
    "Nothing has to be done for those who sent it: the pages stay, and handlers have their "
    "letters. `jetmesh can-deploy` says whether a version that was released could read it: then "
    "the code is to be mended. It is gone with the stream's max_age, or at once "
    f"{_REMOVE}; after a restart of {{service}} nobody tells of it.",
)
UNREAD = problem(
    "cannot-read",
    "{about} cannot read what handlers have stored: {events}, each a dead letter.",
    "an answer to `$SRV.STATS` counts events of other handlers that broke their contract here; "
    "one finding for all that broke it alike",
    f"{_REMEDY} Then replay the letters.",
)


def read_models(facts: Facts) -> Iterator[Finding]:
    """Do the read models show what is stored?"""
    folds = [(at, each, read_model_of(each.stream)) for at, each in facts.folds()]
    yield from _found(SKIPS, [_Seen(at.name, name, each.unread, at) for at, each, name in folds])
    yield from _found(STRANGE, [_Seen(at.name, name, each.strange, at) for at, each, name in folds])


def handlers(facts: Facts) -> Iterator[Finding]:
    """Can the handlers read what other handlers have stored?"""
    seen = [_Seen(at, at, each.data.unread, where) for at, where, each in facts.endpoints()]
    yield from _found(UNREAD, seen)


def beside_reading(instance: Instance) -> str:
    """Why it is not ready, but for what these checks find; empty when that is all."""
    why = instance.problem
    found = [(read_model_of(each.stream), each.unread) for each in instance.read_models or ()]
    found += [(f"{instance.name}.{e.name}", e.data.unread) for e in instance.endpoints or ()]
    for reader, unread in found:
        if unread.count:
            said = lacking(reader, unread.count, unread.first, unread.why)
            why = why.replace(said, "")
    return "; ".join(filter(None, why.split("; ")))


def _found(kind: Kind, seen: Sequence[_Seen]) -> Iterator[Finding]:
    """For each cause what its readers say, and of a reader the process that lacks most.

    All read the same history; what begins with the same message for the same reason is one cause.
    """
    most: dict[tuple[str, str], _Seen] = {}
    for each in seen:
        reader = each.about, each.unread.first.partition(":")[0]
        if each.unread.count > (most[reader].unread.count if reader in most else 0):
            most[reader] = each
    causes: defaultdict[tuple[str, str], list[_Seen]] = defaultdict(list)
    for reader in sorted(most):
        causes[most[reader].unread.first, most[reader].unread.why].append(most[reader])
    for (first, why), readers in causes.items():
        stream, _, sequence = first.rpartition(":")
        worst = max(each.unread.count for each in readers)
        yield kind.finding(
            listed([each.about for each in readers]),
            f"the first is {first}: {why}",
            f"counted by {listed([each.instance.place for each in readers])}",
            events=counted(worst, "event"),
            messages=counted(worst, "message"),
            stream=stream,
            sequence=sequence,
            service=listed(list(dict.fromkeys(each.instance.name for each in readers))),
        )


CHECKS: Final = (read_models, handlers)
