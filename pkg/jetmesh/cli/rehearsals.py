"""Messages rehearsed with the code that is here: stored ones, or those of dead letters."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import structlog

from jetmesh.cli.progress import progress
from jetmesh.declare import Handler
from jetmesh.operate.project import Whole
from jetmesh.runtime.rehearsing.cut import sealed
from jetmesh.runtime.rehearsing.rehearsal import Rehearsal
from jetmesh.runtime.rehearsing.report import Group, Report
from jetmesh.runtime.rehearsing.states import Remembered
from jetmesh.runtime.rehearsing.stored import Known


def rehearsed(
    whole: Whole,
    handler: Handler,
    messages: Sequence[Known],
    then: Remembered | None,
    *,
    allowed: Sequence[str] = (),
) -> Report:
    """What a handler makes of messages; `then` is what it remembered when they came."""
    service = next(each for each in whole.services if each.name == handler.service)
    settings = whole.loaded.of(service)
    with sealed(), _quiet(), progress(f"Rehearsing {handler.name}", len(messages)) as update:
        rehearsal = Rehearsal(
            service, settings, whole.topology, lambda done: update(completed=done)
        )
        return asyncio.run(rehearsal.compare(handler, messages, allowed=allowed, found=then))


def head(group: Group, *, first: bool = False) -> str:
    """What a group's messages do: `12 differ (`orders.rejected` where …)`."""
    names = [example.key for example in group.examples[:1] if example.key]
    named = f", first: {names[0]}" if first and names else ""
    return f"{group.count:,} {group.verb} ({group.about}{named})"


@contextmanager
def _quiet() -> Iterator[None]:
    """Of what handlers log nothing is shown: it is about messages that were handled long ago."""
    before = structlog.get_config()
    nothing = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=nothing, logger_factory=structlog.ReturnLoggerFactory())
    try:
        yield
    finally:
        structlog.configure(**before)
