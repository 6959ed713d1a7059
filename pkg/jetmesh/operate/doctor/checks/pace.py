"""The check of the pace: with a backlog, which handler is it that all wait for?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from jetmesh.operate.doctor.facts import DurableStatus, Facts
from jetmesh.operate.doctor.finding import Finding, note
from jetmesh.operate.humanize import counted, messages_wait, span

_BACKLOG_SECONDS: Final = 10
"""What is worked off faster is a burst."""
_BACKLOG_LEAST: Final = 10

SLOWEST_STAGE = note(
    "slowest-stage",
    "{service} sets the pace: {handler} handles {rate} a second, and {waiting}.",
    "what waits takes longer than 10 s at the rate seen between the looks; of several such "
    "handlers the one that handles least a second",
    "Run more instances of {service}, one by one, for as long as its rate grows; those of another "
    "service change nothing from end to end.",
)


@dataclass(frozen=True, slots=True)
class _Stage:
    """One handler at work on a backlog."""

    durable: DurableStatus
    rate: float
    """Messages handled in a second."""

    @property
    def lasts(self) -> float:
        """Seconds until what waits is handled."""
        return self.durable.info.lag / self.rate

    def __str__(self) -> str:
        handler = self.durable.handler
        waits = messages_wait(self.durable.info.lag)
        return f"{handler.title} handles {self.rate:,.0f} a second, and {waits}"


def slowest(facts: Facts) -> Iterator[Finding]:
    """Which service is worth more instances?"""
    stages = sorted(_stages(facts), key=lambda stage: stage.rate)
    waiting = [stage for stage in stages if stage.lasts > _BACKLOG_SECONDS]
    if not waiting:
        return
    first = waiting[0]
    handler, info = first.durable.handler, first.durable.info
    count = len(facts.instances_of(handler.service))
    yield SLOWEST_STAGE.finding(
        info.id,
        f"at this rate it takes {span(first.lasts)}",
        f"{counted(count, 'instance')} of {handler.service}" if count else "",
        *(str(stage) for stage in waiting[1:]),
        service=handler.service,
        handler=handler.name,
        rate=f"{first.rate:,.0f}",
        waiting=messages_wait(info.lag),
    )


def _stages(facts: Facts) -> Iterator[_Stage]:
    """Handlers that work, by what they take from their streams; retries have lanes of their own."""
    for each in facts.durables():
        if each.before is None or facts.topology.durable_of(each.handler) != each.spec:
            continue
        handled = each.info.settled - each.before.settled
        if handled > 0 and each.info.lag >= _BACKLOG_LEAST:
            yield _Stage(each, handled / facts.elapsed)


CHECKS: Final = (slowest,)
