"""Many letters at the desk: in their order, at a rate, and beside others who do the same."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, Final

from jetmesh.errors import BrokerError, JetmeshError
from jetmesh.operate.deadletters.desk import Desk, Outcome, Ready
from jetmesh.operate.deadletters.letter import Letter, State, Wanted
from jetmesh.operate.deadletters.store import find, settled
from jetmesh.protocol.streams import DEADLETTERS
from jetmesh.transport.control import ApiError, ControlPlane, PubAck

OnOutcome = Callable[[Outcome], None]

_AT_ONCE: Final = 64
_STEPS: Final = 10
"""In which a limited rate is kept, per second."""
_LOOK_SECONDS: Final = 1.0
"""How old the knowledge may be of what others do; the broker remembers ids far longer."""
_BACK_SECONDS: Final = 10.0
"""How long a connection may take that the broker closed."""


async def replay_all(
    desk: Desk,
    sequences: Sequence[int],
    wanted: Wanted,
    on_outcome: OnOutcome,
    *,
    rate: float = 0.0,
) -> None:
    """Replay open letters in their order, at most `rate` of them a second (0: no limit).

    What is on its way when this is cancelled is finished and noted first.

    Raises:
        BrokerError: the broker refused one or does not answer; those before it are done.
        JetmeshError: one was replayed, but that could not be noted.
    """
    async for ready in _ready(desk, sequences, wanted, on_outcome, rate):
        await _uncut(_send(desk, ready, on_outcome))


async def try_all(
    desk: Desk, sequences: Sequence[int], wanted: Wanted, on_outcome: OnOutcome
) -> None:
    """Tell what `replay_all` would do, and do nothing.

    Raises:
        BrokerError: the broker does not answer.
    """
    async for ready in _ready(desk, sequences, wanted, on_outcome, 0.0):
        for each in ready:
            on_outcome(each.tried())


async def drop_all(
    desk: Desk, sequences: Sequence[int], wanted: Wanted, on_outcome: OnOutcome
) -> None:
    """Drop open letters.

    Raises:
        BrokerError: the broker refused a note or does not answer; those before it are done.
    """
    async for letters in _open(desk.control, sequences, wanted, on_outcome, 0.0):
        await _uncut(_drop(desk, letters, on_outcome))


async def _ready(
    desk: Desk, sequences: Sequence[int], wanted: Wanted, on_outcome: OnOutcome, rate: float
) -> AsyncIterator[list[Ready]]:
    async for letters in _open(desk.control, sequences, wanted, on_outcome, rate):
        made = await _all(desk.ready(letter) for letter in letters)
        found: list[Ready] = []
        for letter, each in zip(letters, made, strict=True):
            if isinstance(each, Ready):
                found.append(each)
            else:
                on_outcome(_refused(letter.id, each))
        yield found


async def _open(
    control: ControlPlane,
    sequences: Sequence[int],
    wanted: Wanted,
    on_outcome: OnOutcome,
    rate: float,
) -> AsyncIterator[list[Letter]]:
    """The letters in pieces, without those with which somebody else was done meanwhile."""
    size = max(1, min(_AT_ONCE, int(rate / _STEPS))) if rate else _AT_ONCE
    clock = asyncio.get_running_loop().time
    began, watch = clock(), _Watch(control, wanted)
    for start in range(0, len(sequences), size):
        await asyncio.sleep(max(0.0, began + start / rate - clock()) if rate else 0.0)
        await watch.look()
        several = sequences[start : start + size]
        left = [number for number in several if number not in watch.done]
        for number in several:
            if state := watch.done.get(number):
                name = f"{DEADLETTERS}:{number}"
                text = f"{name} was {state} by somebody else meanwhile."
                on_outcome(Outcome(name, "others", text))
        found: list[Letter] = []
        for number, each in zip(left, await _all(find(control, n) for n in left), strict=True):
            if isinstance(each, Letter):
                found.append(each)
            else:
                on_outcome(_refused(f"{DEADLETTERS}:{number}", each))
        yield found


async def _send(desk: Desk, ready: Sequence[Ready], on_outcome: OnOutcome) -> None:
    """Replay in order, and note whatever the broker took, whatever became of the others."""
    together = [each for each in ready if not each.letter.is_left]
    acks = await asyncio.gather(*map(desk.put, together), return_exceptions=True)
    put = [(e, a) for e, a in zip(together, acks, strict=True) if isinstance(a, PubAck)]
    noted = await asyncio.gather(
        *(desk.noted(each, ack) for each, ack in put), return_exceptions=True
    )
    _tell([*noted, *(ack for ack in acks if isinstance(ack, BaseException))], on_outcome)
    for each in ready:
        if each.letter.is_left:
            await _send_alone(desk, each, on_outcome)


async def _send_alone(desk: Desk, ready: Ready, on_outcome: OnOutcome) -> None:
    """What may be too large for the broker: it would cost the others their connection."""
    try:
        ack = await desk.put(ready)
    except ApiError:
        raise
    except BrokerError as error:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_BACK_SECONDS):
                while desk.control.problem:  # noqa: ASYNC110 - the control plane tells no other way
                    await asyncio.sleep(_BACK_SECONDS / 100)
        if desk.control.problem:
            raise
        on_outcome(_refused(ready.letter.id, error))
    else:
        on_outcome(await desk.noted(ready, ack))


async def _drop(desk: Desk, letters: Sequence[Letter], on_outcome: OnOutcome) -> None:
    _tell(await asyncio.gather(*map(desk.drop, letters), return_exceptions=True), on_outcome)


def _tell(several: Sequence[Outcome | BaseException], on_outcome: OnOutcome) -> None:
    """Every outcome first, then the first failure."""
    for each in several:
        if isinstance(each, Outcome):
            on_outcome(each)
    for each in several:
        if isinstance(each, BaseException):
            raise each


async def _all(work: Any) -> list[Any]:
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


async def _uncut(work: Coroutine[Any, Any, None]) -> None:
    """Finish what has begun before being cancelled."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


class _Watch:
    """What others did meanwhile, looked at as often as makes sense."""

    def __init__(self, control: ControlPlane, wanted: Wanted) -> None:
        self.done: dict[int, State] = {}
        self._control = control
        self._wanted = wanted
        self._first = 1
        self._next_look = 0.0

    async def look(self) -> None:
        clock = asyncio.get_running_loop().time
        if clock() >= self._next_look:
            found, self._first = await settled(self._control, self._wanted, first=self._first)
            self.done |= found
            self._next_look = clock() + _LOOK_SECONDS
