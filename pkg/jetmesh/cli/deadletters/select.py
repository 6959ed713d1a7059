"""Which letters a command means, on which broker, and reading them."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import structlog
from msgspec import Struct

from jetmesh.cli.broker import broker_of, told
from jetmesh.cli.connection import asked
from jetmesh.cli.output import echo
from jetmesh.cli.progress import progress
from jetmesh.declare import EventSpec, Topology
from jetmesh.errors import UsageError
from jetmesh.operate.deadletters.letter import Letter, Selection, Selector, number_of
from jetmesh.operate.deadletters.store import OnRead, select
from jetmesh.operate.project import Whole, find_project
from jetmesh.protocol.headers import SUBJECT
from jetmesh.protocol.streams import DEADLETTERS
from jetmesh.settings import NatsSettings, load_settings
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.stored import if_exists

_LONG: Final = 5_000
"""Messages; reading more of them takes a moment."""
_STEP: Final = 500
"""Letters between two moves of the bar."""


@dataclass(frozen=True, slots=True)
class Context:
    """Where the letters are, and what is known about them."""

    nats: NatsSettings
    topology: Topology | None
    """None outside of a project, as on the machine of whoever is on call."""
    whole: Whole | None = None
    """The project's services and settings, where there is one."""

    def contracts_for(self, letter: Letter) -> tuple[type[Struct], ...]:
        """What says what is sensitive in a letter: its event, and all others of the project.

        None of them when the topology does not know the event.
        """
        spec = self.event_of(letter)
        if self.topology is None or spec is None:
            return ()
        return tuple(dict.fromkeys((spec.type, *(each.type for each in self.topology.events))))

    def event_of(self, letter: Letter) -> EventSpec | None:
        """The event that a letter's message is; None when the topology does not know it."""
        return self.topology.event(letter.header(SUBJECT)) if self.topology else None


@dataclass(frozen=True, slots=True)
class Choice:
    """Letters by their numbers, or else all that are wanted."""

    numbers: list[int]
    selector: Selector


def context_of(reference: str, nats_url: str) -> Context:
    """The broker and the topology of the project around; without a project the broker alone.

    Raises:
        UsageError: the project that was asked for is not there.
        JetmeshError: the project cannot be loaded.
    """
    # what the connection has to say must not stand among exported letters
    structlog.configure(logger_factory=lambda *_: structlog.WriteLogger(sys.stderr))
    try:
        project = find_project(reference)
    except UsageError as error:
        if reference or os.environ.get("JETMESH_SYSTEM"):
            raise
        echo(f"{error.message} So payloads are not checked against their contract.", err=True)
        return Context(told(load_settings(()).settings.nats, nats_url), None)
    whole = project.load()
    return Context(broker_of(project, whole.loaded, nats_url), whole.topology, whole)


def choice_of(letters: Sequence[str] | None, group: Selector, *, every: bool) -> Choice:
    """What a command that changes something is about; nothing is never everything.

    Raises:
        UsageError: it is not said, or said in two ways.
    """
    numbers = list(dict.fromkeys(number_of(text) for text in letters or ()))
    if numbers and (group or every):
        raise UsageError(
            "Both single letters and a group of them are given.", remedy="Do one after the other."
        )
    if not (numbers or group or every):
        raise UsageError(
            "No letters are given.",
            remedy="Name them, or a group (--fingerprint, --service, --handler, --key), or --all.",
        )
    return Choice(numbers, group)


def selection_of(context: Context, group: Selector, *, every: bool = False) -> Selection:
    """`read` with a connection of its own."""
    return asked(context.nats, lambda control: read(control, group, every=every))


async def read(control: ControlPlane, group: Selector, *, every: bool = False) -> Selection:
    """The letters that are wanted, with a bar when there are many.

    Raises:
        JetmeshError: there is no stream of letters.
        BrokerError: the broker does not answer.
    """
    async with reading(control) as on_read:
        return await select(control, group, every=every, on_read=on_read)


@asynccontextmanager
async def reading(control: ControlPlane) -> AsyncIterator[OnRead | None]:
    """A bar that says how far the stream was read; None where that is quick."""
    info = await if_exists(control.api(f"STREAM.INFO.{DEADLETTERS}"))
    state = info["state"] if info else {"first_seq": 0, "last_seq": 0}  # whoever reads it says so
    first, last = state["first_seq"], state["last_seq"]
    if last - first < _LONG:
        yield None
        return
    with progress("Reading letters", last - first) as update:

        def on_read(sequence: int) -> None:
            if not sequence % _STEP:
                update(completed=sequence - first)

        yield on_read
