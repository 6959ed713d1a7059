"""Questions that are asked until there is an answer; who waits long for one is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final, TypeVar

import structlog

from jetmesh.errors import BrokerError

UNDECIDED_SECONDS: Final = 0.5
BEHIND_SECONDS: Final = 0.1
"""After it another server may be asked, or the same one know more."""
PATIENCE_SECONDS: Final = 2.0
"""So long a question may have no answer, as while a leader is chosen, before that is a problem."""
_T = TypeVar("_T")


class Asking:
    """What `name` asks the broker, and has no answer yet."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._unanswered: dict[str, tuple[float, str]] = {}
        """By what the question is about: since when, and what was told last."""
        self._log = structlog.get_logger().bind(handler=name.rpartition(".")[2])

    @property
    def problem(self) -> str:
        """Why something waits, in words: it is not known whether it is stored."""
        before = monotonic() - PATIENCE_SECONDS
        lasting = [said for since, said in self._unanswered.values() if since < before]
        if not lasting:
            return ""
        return f"{self._name} cannot look up outcomes, {len(lasting)} waiting: {lasting[0]}"

    async def until_answered(self, ask: Callable[[], Awaitable[_T]], about: str) -> _T:
        """No answer is no answer: ask again until there is one."""
        since, said = monotonic(), ""
        try:
            while True:
                try:
                    return await ask()
                except BrokerError as error:
                    if str(error) != said:
                        said = str(error)
                        self._log.info("undecided, asking again", cause=about, error=said)
                    self._unanswered[about] = (since, said)
                await asyncio.sleep(UNDECIDED_SECONDS)
        finally:
            self._unanswered.pop(about, None)


class Doubts:
    """What a `Publisher` does not know, and what stands in its way (`runtime.health.Source`)."""

    def __init__(self, asking: Asking) -> None:
        self.asking = asking
        self.forged: dict[str, float] = {}
        """What stands where an event belongs, in words, and until when to tell it."""

    @property
    def problem(self) -> str:
        now = monotonic()
        self.forged = {text: until for text, until in self.forged.items() if until > now}
        return self.asking.problem or next(iter(self.forged), "")
