"""`jetmesh up --reload`: what a change concerns starts anew, then the whole is looked at again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from jetmesh.errors import JetmeshError
from jetmesh.operate.humanize import listed
from jetmesh.operate.up.changes import Change, Changes
from jetmesh.operate.up.child import Child

_RENEW_SECONDS: Final = 1.0
"""After a change, when what it concerns has started: both at once would slow that down."""


class Reload:
    """Follows the children and restarts them; `renew` reads the system again after a change."""

    def __init__(
        self,
        changes: Changes,
        *,
        children: Callable[[], Sequence[Child]],
        renew: Callable[[], Awaitable[None]],
        say: Callable[[str], None],
        grace: float,
    ) -> None:
        self._changes = changes
        self._children = children
        self._renew = renew
        self._say = say
        self._grace = grace
        self._restarts: set[asyncio.Task[None]] = set()
        self._renewing: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Until it is cancelled; without files that can be watched one sentence says so."""
        self._follow()
        try:
            async for change in self._changes:
                self._take(change)
        except JetmeshError as error:
            self._say(str(error))
        finally:
            if self._renewing is not None:
                self._renewing.cancel()

    def _take(self, change: Change) -> None:
        for sentence in change.refused:
            self._say(sentence)
        concerned = [each for each in self._children() if each.program.name in change.concerned]
        if concerned:
            names = listed([child.program.name for child in concerned])
            self._say(f"{change.what} changed: starting {names} anew")
        for child in concerned:
            task = asyncio.create_task(child.restart(self._grace))
            self._restarts.add(task)
            task.add_done_callback(self._restarts.discard)
        if concerned or change.listing:
            if self._renewing is not None:
                self._renewing.cancel()
            self._renewing = asyncio.create_task(self._renew_soon())

    async def _renew_soon(self) -> None:
        await asyncio.sleep(_RENEW_SECONDS)
        try:
            await self._renew()
        except JetmeshError as error:
            self._say(str(error))
        self._follow()

    def _follow(self) -> None:
        self._changes.follow(
            {child.program.name: child.program.command[-1] for child in self._children()}
        )
