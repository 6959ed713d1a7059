"""Rehearse: read what is stored, cut the network, run the handlers, compare."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jetmesh.declare import Handler, Service, Topology, key_of, unescape_key
from jetmesh.privacy.mask import printable
from jetmesh.protocol.ids import token_of
from jetmesh.runtime.rehearsing.compare import judge, reached
from jetmesh.runtime.rehearsing.cut import Attempt, Cut, NamingExecutor
from jetmesh.runtime.rehearsing.doubles import Cast, Past
from jetmesh.runtime.rehearsing.report import Example, Report, Tally
from jetmesh.runtime.rehearsing.stage import Result, Stage
from jetmesh.runtime.rehearsing.stored import Known, read, spec_of

_LEFT_SECONDS: Final = 5.0
"""So long what handlers left running may go on, to show what it does."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """One service's handlers, within which nobody reaches anything outside."""

    service: Service
    settings: Any
    topology: Topology
    on_played: Callable[[int], None] = lambda _: None
    """Gets how many messages of a handler were handled."""

    async def compare(
        self, handler: Handler, several: Sequence[Known], *, allowed: Iterable[str] = ()
    ) -> Report:
        """Handle messages once more, and compare what they lead to with what came of them."""
        played = await self.play(handler, [known for known in several if known.fate != "others"])
        tally = Tally(f"{handler.service}.{handler.name}", handler.input.subject)
        for known in several:
            token = _token(known)
            past = played.pasts.get(token)
            attempts = past.attempts if past else []
            found = judge(handler, known, played.results.get(token), attempts)
            tally.add(found, _example(handler, known, found.detail))
        for attempt in played.unnamed:
            tally.group(reached(handler, attempt))
        return tally.report(allowed)

    async def play(self, handler: Handler, several: Sequence[Known]) -> Played:
        """Have a handler's messages handled; nothing of it is stored or sent anywhere."""
        loop, running = asyncio.get_running_loop(), asyncio.all_tasks()
        loop.set_default_executor(NamingExecutor())
        pasts = {_token(known): _past(handler, known) for known in several}
        cut = Cut()
        cast = Cast(self.service, handler, self.settings, pasts, cut)
        stage = Stage(self.service, cast.handler(), self.topology.durable_of(handler).policy)
        with cut.applied():
            async for number in stage.play(known.message for known in several):
                self.on_played(number)
            if left := asyncio.all_tasks() - running:  # to show what it does
                await asyncio.wait(left, timeout=_LEFT_SECONDS)
        return Played(stage.results, pasts, cut.unnamed)


@dataclass(frozen=True, slots=True)
class Played:
    """What one handler made of messages, each by its token."""

    results: dict[str, Result]
    pasts: dict[str, Past]
    unnamed: list[Attempt]
    """What threads tried for which no message can be named."""


def _token(known: Known) -> str:
    return token_of(known.message.sequence, known.message.stored_ns)


def _past(handler: Handler, known: Known) -> Past:
    """What doubles answer from."""
    several = ((spec_of(handler, each.subject), each) for each in known.outputs)
    events = (read(spec, each) for spec, each in several if spec)
    return Past(tuple(event for event in events if event is not None))


def _example(handler: Handler, known: Known, detail: str) -> Example:
    message, spec = known.message, handler.input
    token = message.subject.removeprefix(spec.subject).removeprefix(".")
    event = None if token else read(spec, message)
    key = key_of(spec, event) if event else unescape_key(token)
    place = f"{message.stream}:{message.sequence}"
    return Example(key=printable(key), place=place, detail=detail)
