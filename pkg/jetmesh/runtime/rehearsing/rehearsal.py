"""Rehearse: read what is stored, cut the network, run the handlers, compare."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jetmesh.declare import Handler, Service, Topology, key_of, unescape_key
from jetmesh.privacy.mask import printable
from jetmesh.protocol.ids import token_of
from jetmesh.runtime.rehearsing.compare import Difference, between, judge, reached
from jetmesh.runtime.rehearsing.cut import Attempt, Cut, NamingExecutor
from jetmesh.runtime.rehearsing.doubles import Cast, Past
from jetmesh.runtime.rehearsing.report import Example, Report, Tally
from jetmesh.runtime.rehearsing.stage import Result, Stage
from jetmesh.runtime.rehearsing.states import Remembered, States
from jetmesh.runtime.rehearsing.stored import Known, read, spec_of
from jetmesh.transport.stored import StoredMessage

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
        self,
        handler: Handler,
        several: Sequence[Known],
        *,
        allowed: Iterable[str] = (),
        found: Remembered | None = None,
    ) -> Report:
        """Handle messages once more, and compare what they lead to with what came of them.

        `found`: what is stored of their states, for a handler that remembers.
        """
        why = found.why_not if found else ""
        for known in several if why else ():
            known.fate = "today" if known.fate in ("made", "nothing", "gone") else known.fate
        rehearsed = [known for known in several if known.fate != "others"]
        played = await self.play(handler, rehearsed, found)
        tally = Tally(handler.title, handler.input.subject, why)
        states = _differing(found, rehearsed, played.states) if found and not why else {}
        for known in several:
            token = _token(known)
            past = played.pasts.get(token)
            attempts = past.attempts if past else []
            judged = judge(handler, known, played.results.get(token), attempts)
            if judged.verdict in ("same", "gone"):
                judged = states.get(token, judged)
            tally.add(judged, _example(handler, known, judged.detail))
        for attempt in played.unnamed:
            tally.group(reached(handler, attempt))
        return tally.report(allowed)

    async def play(
        self, handler: Handler, several: Sequence[Known], found: Remembered | None = None
    ) -> Played:
        """Have a handler's messages handled; nothing of it is stored or sent anywhere."""
        loop, running = asyncio.get_running_loop(), asyncio.all_tasks()
        loop.set_default_executor(NamingExecutor())
        pasts = {_token(known): _past(handler, known) for known in several}
        messages, states = [known.message for known in several], None
        if found is not None:
            pasts |= {_named(each): Past(()) for each in found.earlier}
            states = States(found)
            states.keep(messages)
            messages = [*found.earlier, *messages]
        cut = Cut()
        cast = Cast(self.service, handler, self.settings, pasts, cut, states)
        stage = Stage(self.service, cast.handler(), self.topology.durable_of(handler).policy)
        with cut.applied():
            async for number in stage.play(messages):
                self.on_played(number)
            if left := asyncio.all_tasks() - running:  # to show what it does
                await asyncio.wait(left, timeout=_LEFT_SECONDS)
        values = states.values if states else {}
        return Played(stage.results, pasts, cut.unnamed, values)


@dataclass(frozen=True, slots=True)
class Played:
    """What one handler made of messages, each by its token."""

    results: dict[str, Result]
    pasts: dict[str, Past]
    unnamed: list[Attempt]
    """What threads tried for which no message can be named."""
    states: dict[str, Any]
    """What is remembered of each key at the end."""


def _differing(
    found: Remembered, several: Sequence[Known], states: dict[str, Any]
) -> dict[str, Difference]:
    """Where the state at the end is another than the stored one: by the last message of its key.

    Nothing of a key that has taken in what was not read, as while its service runs.
    """
    read_ones = {_named(each) for each in found.earlier} | {_token(each) for each in several}
    last = {found.token(known.message): known for known in several if found.is_in(known.message)}
    differing = {}
    for key, known in last.items():
        inputs = found.applied(key).inputs.get(found.handler.input.subject, ())
        if key not in found.moved and read_ones.issuperset(inputs):
            judged = between(found.remembering.state, found.now[key], states.get(key))
            differing[_token(known)] = judged
    return differing


def _token(known: Known) -> str:
    return _named(known.message)


def _named(message: StoredMessage) -> str:
    return token_of(message.sequence, message.stored_ns)


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
