"""Many letters at the desk: in their order, at a rate, and beside others who do the same."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from jetmesh.errors import BrokerError, JetmeshError
from jetmesh.operate.deadletters.desk import Desk, Outcome, Replay
from jetmesh.operate.deadletters.letter import Letter, Selector, State
from jetmesh.operate.deadletters.store import find, settled
from jetmesh.protocol.streams import DEADLETTERS
from jetmesh.transport.stored import ApiError

_AT_ONCE: Final = 64
_STEPS: Final = 10
"""In which a limited rate is kept, per second."""
_REFRESH_SECONDS: Final = 1.0
"""How old the knowledge may be of what others do; the broker remembers ids far longer."""
_RECONNECT_SECONDS: Final = 10.0
"""How long a connection may take that the broker closed."""


@dataclass(slots=True)
class Batch:
    """Open letters of one selection; `on_outcome` hears what became of each."""

    desk: Desk
    selector: Selector
    on_outcome: Callable[[Outcome], None]
    rate: float = 0.0
    """Letters a second at the most; 0 is no limit."""
    _settled: dict[int, State] = field(default_factory=dict)
    """What others did meanwhile."""
    _unread: int = 1
    """The first sequence behind the notes that were read."""
    _refresh_at: float = 0.0

    async def replay(self, sequences: Sequence[int]) -> list[Letter]:
        """Replay letters in their order; those that were.

        What is on its way when this is cancelled is finished and noted first.

        Raises:
            BrokerError: the broker refused one or does not answer; those before it are done.
            JetmeshError: one was replayed, but that could not be noted.
        """
        sent: list[Letter] = []
        async for replays in self.prepared(sequences):
            await _uninterrupted(self._send(replays))
            sent += [replay.letter for replay in replays]
        return sent

    async def dry_run(self, sequences: Sequence[int]) -> None:
        """Report what `replay` would do, and do nothing.

        Raises:
            BrokerError: the broker does not answer.
        """
        async for replays in self.prepared(sequences):
            for each in replays:
                self.on_outcome(each.dry_run())

    async def prepared(self, sequences: Sequence[int]) -> AsyncIterator[list[Replay]]:
        """What `replay` would send, in pieces; nothing is.

        Raises:
            BrokerError: the broker does not answer.
        """
        async for letters in self._open(sequences):
            made = await _results(map(self.desk.prepare, letters))
            yield self._without_refusals([letter.id for letter in letters], made)

    async def drop(self, sequences: Sequence[int]) -> None:
        """Drop letters.

        Raises:
            BrokerError: the broker refused a note or does not answer; those before it are done.
        """
        async for letters in self._open(sequences):
            await _uninterrupted(self._report(map(self.desk.drop, letters)))

    async def _open(self, sequences: Sequence[int]) -> AsyncIterator[list[Letter]]:
        """The letters in pieces, without those with which somebody else was done meanwhile."""
        rate, control = self.rate, self.desk.control
        size = max(1, min(_AT_ONCE, int(rate / _STEPS))) if rate else _AT_ONCE
        clock = asyncio.get_running_loop().time
        began = clock()
        for start in range(0, len(sequences), size):
            await asyncio.sleep(max(0.0, began + start / rate - clock()) if rate else 0.0)
            if clock() >= self._refresh_at:
                found, self._unread = await settled(control, self.selector, first=self._unread)
                self._settled |= found
                self._refresh_at = clock() + _REFRESH_SECONDS
            left: list[int] = []
            for number in sequences[start : start + size]:
                if state := self._settled.get(number):
                    name = f"{DEADLETTERS}:{number}"
                    text = f"{name} was {state} by somebody else meanwhile."
                    self.on_outcome(Outcome(name, "others", text))
                else:
                    left.append(number)
            letters = await _results(find(control, number) for number in left)
            yield self._without_refusals([f"{DEADLETTERS}:{number}" for number in left], letters)

    def _without_refusals(self, names: Sequence[str], results: Sequence[Any]) -> list[Any]:
        for name, each in zip(names, results, strict=True):
            if isinstance(each, JetmeshError):
                self.on_outcome(_refused(name, each))
        return [each for each in results if not isinstance(each, JetmeshError)]

    async def _send(self, replays: Sequence[Replay]) -> None:
        await self._report(self.desk.send(r) for r in replays if not r.letter.payload_in_stream)
        for replay in replays:
            if replay.letter.payload_in_stream:
                await self._send_alone(replay)

    async def _send_alone(self, replay: Replay) -> None:
        """What may be too large for the broker: it would cost the others their connection."""
        control = self.desk.control
        try:
            self.on_outcome(await self.desk.send(replay))
        except ApiError:
            raise
        except BrokerError as error:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RECONNECT_SECONDS):
                    while control.problem:  # noqa: ASYNC110 - the control plane tells no other way
                        await asyncio.sleep(_RECONNECT_SECONDS / 100)
            if control.problem:
                raise
            self.on_outcome(_refused(replay.letter.id, error))

    async def _report(self, work: Iterable[Coroutine[Any, Any, Outcome]]) -> None:
        """Do it all at once: every outcome is reported first, then the first failure raised."""
        results = await asyncio.gather(*work, return_exceptions=True)
        for each in results:
            if isinstance(each, Outcome):
                self.on_outcome(each)
        for each in results:
            if isinstance(each, BaseException):
                raise each


async def _results(work: Iterable[Coroutine[Any, Any, Any]]) -> list[Any]:
    """What each returned, or the refusal that it raised; a silent broker ends them all."""
    several = await asyncio.gather(*work, return_exceptions=True)
    for each in several:
        refusal = isinstance(each, JetmeshError) and not isinstance(each, BrokerError)
        if isinstance(each, BaseException) and not refusal:
            raise each
    return several


def _refused(letter: str, error: JetmeshError) -> Outcome:
    text = error.message if letter in error.message else f"{letter}: {error.message}"
    return Outcome(letter, "refused", f"{text} {error.remedy}".strip())


async def _uninterrupted(work: Coroutine[Any, Any, None]) -> None:
    """Finish what has begun before being cancelled."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
