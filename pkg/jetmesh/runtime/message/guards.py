"""Whether the guard of a decision sees what it guards: what is stored lies where it was published.

A subject mapping in a server's configuration stores a message under another subject. The filter of
its guard then matches nothing, and the server takes a second outcome of the same key without a
word. So the first outcomes of each kind, on every connection and from time to time, are acked only
when one of them was seen through the guard's own filter. Afterwards a message costs nothing more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from jetmesh.runtime.message.asking import Asking
from jetmesh.runtime.message.outputs import Output
from jetmesh.transport.seam import Looks, Message, Waiter
from jetmesh.transport.stored import read

AGAIN_SECONDS: Final = 60.0
"""After it the next outcome is looked at again: a server can read a new configuration any time."""
_LOOK_SECONDS: Final = 0.1
"""Between two looks: a follower may answer, and be behind."""
_PATIENCE_SECONDS: Final = 5.0
"""No follower that answers is behind for so long."""
_LOOK_WHEN_BLIND_SECONDS: Final = 1.0

log = structlog.get_logger()


class Guards:
    """The guards of all that one handler decides (`runtime.health.Source`)."""

    def __init__(
        self,
        name: str,
        outputs: Iterable[Output],
        looks: Looks,
        asking: Asking,
        on_change: Callable[[], None],
    ) -> None:
        deciding = [each for each in outputs if each.decision]
        self._guards = [_Guard(name, each, looks, asking, on_change) for each in deciding]

    @property
    def problem(self) -> str:
        """Why the handler stands still, in words; empty when every guard guards."""
        return next((each.blind for each in self._guards if each.blind), "")

    def doubt(self) -> None:
        """Look at the next outcome of each kind, as on a new connection."""
        for each in self._guards:
            each.doubt()

    @property
    def is_lost(self) -> bool:
        """Whether what was stored and not acked will not be: it is not seen, or nobody looks."""
        return any(each.is_lost for each in self._guards)

    def stop(self) -> None:
        """Look no more."""
        for each in self._guards:
            each.stop()


class _Guard:
    """The guard of one kind of outcome: `output.publish` goes through it while it is in doubt."""

    def __init__(
        self,
        name: str,
        output: Output,
        looks: Looks,
        asking: Asking,
        on_change: Callable[[], None],
    ) -> None:
        self.blind = ""
        """Why it guards nothing, in words."""
        self._name = name
        self._output = output
        self._looks = looks
        self._asking = asking
        self._on_change = on_change
        self._plain = output.publish
        self._held: list[_Unseen] = []
        """Stored, and not acked before one of them is seen."""
        self._unsent: list[tuple[Message, Waiter]] = []
        self._looking: asyncio.Task[None] | None = None
        self._again: asyncio.TimerHandle | None = None

    def doubt(self) -> None:
        self._output.publish = self._publish
        if self._again is not None:
            self._again.cancel()
            self._again = None

    @property
    def is_lost(self) -> bool:
        looking = self._looking
        nobody_looks = looking is not None and bool(looking.done() or looking.cancelling())
        return bool(self.blind) or nobody_looks

    def stop(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        if self._again is not None:
            self._again.cancel()

    def _publish(self, subject: bytes, headers: bytes, payload: bytes, waiter: Waiter) -> None:
        if self.blind:
            self._unsent.append(((subject, headers, payload), waiter))
        else:
            self._plain(subject, headers, payload, _Unseen(self, subject, waiter))

    def on_stored(self, unseen: _Unseen) -> None:
        if self._output.publish == self._plain:  # one of the others was seen meanwhile
            unseen.waiter.on_stored(unseen.answer)
            return
        self._held.append(unseen)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(unseen))

    async def _look(self, unseen: _Unseen) -> None:
        """Return once it is seen; say so when it is not."""
        left = round(_PATIENCE_SECONDS / _LOOK_SECONDS)  # looks; no answer is none
        while not await self._is_seen(unseen):
            left -= 1
            if left < 0 and not self.blind:
                self._is_blind(unseen)
            await asyncio.sleep(_LOOK_WHEN_BLIND_SECONDS if self.blind else _LOOK_SECONDS)
        self._looking = None
        self._trust(asyncio.get_running_loop())

    async def _is_seen(self, unseen: _Unseen) -> bool:
        stored, subject = read(unseen.answer), unseen.subject.decode()
        look = partial(self._looks.last, self._output.stream, self._filter_of(subject))
        found = await self._asking.until_answered(look, subject)
        if found is None or stored.stream != self._output.stream or found.sequence < stored.seq:
            return False
        # what came behind ours on this key came in another way: the guard sees it all the same
        return found.sequence > stored.seq or found.subject == subject

    def _filter_of(self, subject: str) -> str:
        return self._output.decision_filter(subject.rpartition(".")[2])

    def _is_blind(self, unseen: _Unseen) -> None:
        stored, subject = read(unseen.answer), unseen.subject.decode()
        place = f"{stored.stream}:{stored.seq}"
        self.blind = (
            f"{self._name} stands still, because its guard guards nothing: what it published on "
            f"{subject} is stored as {place}, where {self._filter_of(subject)} does not see it. "
            f"A subject mapping in the configuration of a server does that, and lets a key have "
            f"two outcomes: remove it, then restart the service; jetmesh doctor names it"
        )
        log.error("a guard guards nothing", handler=self._name, subject=subject, stored=place)
        self._on_change()

    def _trust(self, loop: asyncio.AbstractEventLoop) -> None:
        """Everything goes on, and nothing is looked at for a while."""
        self._output.publish = self._plain
        self._again = loop.call_later(AGAIN_SECONDS, self.doubt)
        held, self._held = self._held, []
        unsent, self._unsent = self._unsent, []
        was_blind, self.blind = self.blind, ""
        for each in held:
            each.waiter.on_stored(each.answer)
        for message, waiter in unsent:
            self._plain(*message, waiter)
        if was_blind:
            log.info("the guard guards", handler=self._name)
            self._on_change()


@dataclass(slots=True)
class _Unseen:
    """Waits for the fate of an outcome, and then for it to be seen (`seam.Waiter`)."""

    guard: _Guard
    subject: bytes
    waiter: Waiter
    answer: bytes = b""

    def on_stored(self, answer: bytes) -> None:
        self.answer = answer
        self.guard.on_stored(self)

    def on_duplicate(self, message: Message, sequence: int) -> None:
        self.waiter.on_duplicate(message, sequence)

    def on_decided(self) -> None:
        self.waiter.on_decided()

    def on_impossible(self, reason: str) -> None:
        self.waiter.on_impossible(reason)
