"""The check of deadlines: does one wait for an alarm that never rings?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from jetmesh.operate.doctor.facts import Facts
from jetmesh.operate.doctor.finding import Finding, warning
from jetmesh.operate.humanize import counted, span

OVERDUE = warning(
    "overdue",
    "{count} of {about}: their time has come, and nothing rang.",
    "a state keeps a deadline that was due more than 30 s ago; its alarm was lost with the "
    "service's lane stream, or rang on the lane of a handler that is no more",
    "`jetmesh schedule mend` rings for all of them; the service itself does for each key of which "
    "it hears. `jetmesh schedule ls --overdue` lists them.",
)


def overdue(facts: Facts) -> Iterator[Finding]:
    """What should have come, and did not?"""
    counts = Counter(each.service for each in facts.now.overdue)
    for service, count in sorted(counts.items()):
        oldest = min(each.due for each in facts.now.overdue if each.service == service)
        seen = f"the oldest was due {span(facts.age(oldest))} ago"
        yield OVERDUE.finding(service, seen, count=counted(count, "deadline"))


CHECKS: Final = (overdue,)
