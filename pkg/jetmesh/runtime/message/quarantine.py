"""Poison: a message that kills the process is found out, and nothing else is (ADR-0008).

A delivery that came back more often than a failing handler explains goes into quarantine: the
process may have died of it, or of a neighbour. There deliveries run alone, one after another, each
with a mark stored beforehand that its verdict removes. A mark that stays is a death, and nothing
else can have caused it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, Protocol, TypeVar

import structlog

from jetmesh.errors import BrokerError
from jetmesh.privacy.mask import name_of, text_of
from jetmesh.protocol import headers as header
from jetmesh.protocol.streams import lane_stream
from jetmesh.protocol.subjects import old_subject, quarantine_subject
from jetmesh.runtime.message.delivered import Delivered, Runner
from jetmesh.transport.stored import PubAck, StoredMessage

DEATHS: Final = 3
"""So many processes may die with a message alone in them until it is given up."""
_LOST: Final = 2
"""So many lost deliveries lead to quarantine: a restart, or two replicas, explains one."""
_ASK_AGAIN_SECONDS: Final = 1.0
_REMOVE_SECONDS: Final = 5.0
"""Others wait at most this long for a mark to be removed; one that stays counts as one death."""
_T = TypeVar("_T")

log = structlog.get_logger()


class Poison(Exception):  # noqa: N818 - it ends in a dead letter under this name
    """Processes died while they handled this message and nothing else."""


class Marks(Protocol):
    """Where it is stored that a delivery runs alone: the control plane."""

    async def last(self, stream: str, subject: str) -> StoredMessage | None:
        """The newest message on a subject."""

    async def publish(
        self, subject: str, payload: bytes, headers: dict[str, str] | None = None
    ) -> PubAck:
        """Store a message."""

    async def forget(self, stream: str, subject: str) -> None:
        """Remove what is stored on a subject."""


class Quarantine:
    """One for each process: while a message in quarantine runs, nothing else of it does."""

    def __init__(
        self, marks: Callable[[], Marks], running: Callable[[], Sequence[asyncio.Future[None]]]
    ) -> None:
        self.active = False
        """A delivery runs alone, or waits for the others to end; what arrives is parked."""
        self.on_change: Callable[[], None] = lambda: None
        """Called when `active` changes."""
        self.problem = ""
        """Why what is in quarantine does not run, in words; empty when it does."""
        self._marks = marks
        self._running = running
        self._waiting: deque[tuple[Delivered, Runner]] = deque()
        self._parked: list[tuple[Delivered, Runner]] = []
        self._task: asyncio.Task[None] | None = None

    def takes(self, delivered: Delivered) -> bool:
        """Whether deliveries were lost that neither a failure nor one restart explains."""
        explained = 1 if delivered.on_lane else 2  # the first retry of a stream's waits in place
        return delivered.deliveries - max(explained, delivered.returned + 1) >= _LOST

    def add(self, delivered: Delivered, runner: Runner) -> None:
        """Run a delivery alone, after the others."""
        self._waiting.append((delivered, runner))
        if self._task is None:
            self.active = True
            self.on_change()
            self._task = asyncio.create_task(self._run_all())

    def park(self, delivered: Delivered, runner: Runner) -> None:
        """Keep a delivery until the quarantine is over."""
        self._parked.append((delivered, runner))

    async def stop(self) -> None:
        """End before the service does; a run that is cut short is no death."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run_all(self) -> None:
        try:
            while self._waiting:
                delivered, runner = self._waiting.popleft()
                while running := self._running():
                    await asyncio.wait(running)
                if delivered.held:
                    await self._try_alone(delivered, runner)
        finally:
            self.active = False
            self._task = None
            self.on_change()
            parked, self._parked = [*self._waiting, *self._parked], []
            self._waiting.clear()
            for delivered, runner in parked:
                if delivered.held:
                    runner.begin(delivered)

    async def _try_alone(self, delivered: Delivered, runner: Runner) -> None:
        try:
            await self._run_alone(delivered, runner)
        except Exception as error:
            text = text_of(error)
            log.exception(
                "quarantine failed", cause=delivered.cause, error=name_of(error), message=text
            )
            runner.give_back(delivered)

    async def _run_alone(self, delivered: Delivered, runner: Runner) -> None:
        handler, marks = runner.handler, self._marks()
        stream = lane_stream(handler.service)
        subject = quarantine_subject(handler.service, handler.name, delivered.origin)
        mark = await self._answered(lambda: marks.last(stream, subject))
        if mark is None:
            mark = await self._answered(lambda: marks.last(stream, old_subject(subject)))
        written = mark.headers.get(header.DEATHS, "") if mark else ""
        deaths = int(written) if written.isdecimal() else 0
        try:
            if deaths >= DEATHS:
                text = f"{deaths} processes died while they handled only this message"
                runner.dead_letter(delivered, Poison(text))
            else:
                log.warning(
                    "quarantined", cause=delivered.cause, handler=handler.name, deaths=deaths
                )
                counted = {header.DEATHS: str(deaths + 1)}
                await self._answered(lambda: marks.publish(subject, b"", counted))
                await runner.run(delivered)
        finally:
            try:
                async with asyncio.timeout(_REMOVE_SECONDS):
                    for each in {subject, mark.subject if mark else subject}:
                        await self._answered(partial(marks.forget, stream, each))
            except TimeoutError:
                self.problem = ""
                log.warning("a quarantine mark stays", cause=delivered.cause, subject=subject)

    async def _answered(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        """Ask until there is an answer; meanwhile nothing can be settled anyway."""
        while True:
            try:
                answer = await ask()
            except BrokerError as error:
                self.problem = f"a message waits in quarantine for its mark: {error}"
                await asyncio.sleep(_ASK_AGAIN_SECONDS)
            else:
                self.problem = ""
                return answer
