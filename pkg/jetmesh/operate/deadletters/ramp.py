"""A replay in growing steps, each begun only once all of the last one went well."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Final

from jetmesh.operate.deadletters.bulk import Batch
from jetmesh.operate.deadletters.letter import Letter
from jetmesh.protocol.lanes import origin_of
from jetmesh.protocol.streams import DEADLETTERS, lane_stream
from jetmesh.protocol.subjects import RETRY, deadletter_subject, lane_subject
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.stored import StoredMessage

_STEPS: Final = (1, 5, 20, 100, 500, 2_000)
"""Letters in each; the last one is repeated."""
_LOOK_SECONDS: Final = 0.25
_LOOKS: Final = 2
"""In a row that must find none: a retry that falls due is between two places for a moment."""


@dataclass(frozen=True, slots=True)
class Step:
    """What became of the letters of one step."""

    sent: int
    failed: tuple[str, ...]
    """The new letters of those that failed again."""
    waiting: int
    """They have no verdict yet, though there was time."""

    @property
    def went_well(self) -> bool:
        return not self.failed and not self.waiting


async def ramp(batch: Batch, sequences: Sequence[int], *, within: float) -> AsyncIterator[Step]:
    """Replay letters in their order; ends with the first step that did not go well.

    The handlers have `within` seconds for the letters of each step.

    Raises:
        BrokerError: the broker refused one or does not answer; those before it are done.
        JetmeshError: one was replayed, but that could not be noted.
    """
    control = batch.desk.control
    for part in _parts(sequences):
        first = await _next_letter(control)
        sent = _Sent(control, await batch.replay(part))
        step = await sent.fate(first, within)
        yield step
        if not step.went_well:
            return


def _parts(sequences: Sequence[int]) -> Iterator[Sequence[int]]:
    start = 0
    for size in chain(_STEPS, repeat(_STEPS[-1])):
        if start >= len(sequences):
            return
        yield sequences[start : start + size]
        start += size


async def _next_letter(control: ControlPlane) -> int:
    state = (await control.api(f"STREAM.INFO.{DEADLETTERS}"))["state"]
    return int(state["last_seq"]) + 1


class _Sent:
    """The letters of one step, once their messages are on their lanes."""

    def __init__(self, control: ControlPlane, letters: Sequence[Letter]) -> None:
        self._control = control
        self._count = len(letters)
        self._handlers = {(letter.service, letter.handler) for letter in letters}
        self._origins = {letter.origin.place for letter in letters}

    async def fate(self, first: int, within: float) -> Step:
        """Wait until none of them is on a lane any more, or the time is over.

        A letter is stored before its message leaves the lane, so what left it without one, from
        the sequence `first` on, went well.
        """
        clock = asyncio.get_running_loop().time
        end, gone = clock() + within, 0
        while True:
            waiting = await self._waiting()
            gone = 0 if waiting else gone + 1
            if gone == _LOOKS or clock() >= end:
                break
            await asyncio.sleep(_LOOK_SECONDS)
        failed = [each async for each in self._failed(first)]
        return Step(self._count, tuple(failed), waiting)

    async def _waiting(self) -> int:
        found = set[str]()
        for service, handler in self._handlers:
            lane = [lane_subject(service, handler, each) for each in ("*", f"*.*.{RETRY}")]
            stream = lane_stream(service)
            async for message in self._control.history(stream, lane, headers_only=True):
                found |= self._of(message)
        return len(found)

    async def _failed(self, first: int) -> AsyncIterator[str]:
        for service, handler in self._handlers:
            wanted = [deadletter_subject(service, handler, "*")]
            stored = self._control.history(DEADLETTERS, wanted, first=first, headers_only=True)
            async for message in stored:
                if self._of(message):
                    yield Letter(message).id

    def _of(self, message: StoredMessage) -> set[str]:
        """Which of them it stands for, if any."""
        try:
            return {origin_of(message.headers).place} & self._origins
        except ValueError:
            return set()
