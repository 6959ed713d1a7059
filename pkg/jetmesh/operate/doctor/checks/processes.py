"""The check of processes: does one stand where nothing leads on?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from jetmesh.operate.doctor.facts import Facts
from jetmesh.operate.doctor.finding import Finding, warning
from jetmesh.operate.humanize import counted, span
from jetmesh.operate.processes.standing import Standing

STUCK = warning(
    "stuck-process",
    "{count} of {about} in the step {step}: {problem}.",
    "a process stands in a step that this version lacks, or whose deadline is gone or was due more "
    "than 30 s ago, and no deadline of another event leads on from it",
    "`jetmesh process ls --overdue` lists them. `jetmesh schedule mend` rings for deadlines that "
    "are due; `jetmesh process advance` moves one by hand; a step that this version lacks needs a "
    "version that has it.",
)


def stuck(facts: Facts) -> Iterator[Finding]:
    """What stands where nobody expects it to stay?"""
    places: defaultdict[tuple[str, str, str], list[Standing]] = defaultdict(list)
    for each in facts.now.stuck:
        late = "its deadline is over" if each.until else each.problem
        places[each.process, each.step, late].append(each)
    for (process, step, problem), several in sorted(places.items()):
        oldest = min(each.since for each in several)
        yield STUCK.finding(
            process,
            f"the oldest is there for {span(facts.age(oldest))}",
            count=counted(len(several), "process"),
            step=step,
            problem=problem,
        )


CHECKS: Final = (stuck,)
