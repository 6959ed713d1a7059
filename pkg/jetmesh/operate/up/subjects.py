"""A line for each subject that is stored while `jetmesh up` runs and that nobody declares.

No service could say so: its durables are filtered, and it knows its own events alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from jetmesh.errors import BrokerError
from jetmesh.operate.humanize import counted, listed
from jetmesh.operate.undeclared import Declared, Undeclared, undeclared
from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane

_PAUSE_SECONDS: Final = 3.0
_MOST_SUBJECTS: Final = 5_000
"""In a larger stream only what people type is looked at: lists of all keys cost too much."""


class Subjects:
    """Looks every few seconds, and says of each subject once that it is there."""

    def __init__(self, settings: NatsSettings, say: Callable[[str], None]) -> None:
        self.declared = Declared({}, {}, {})
        """What the system declares now; it changes while one works on it."""
        self._settings = settings
        self._say = say
        self._known: set[str] = set()

    async def run(self) -> None:
        """Look until this is cancelled."""
        connecting = ControlPlane.connect(self._settings, name="jetmesh-up", patient=True)
        async with await connecting as control:
            while True:
                for stream in self.declared.streams:
                    await self._look(control, stream)
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _look(self, control: ControlPlane, stream: str) -> None:
        try:
            found = await undeclared(control, self.declared, stream, most=_MOST_SUBJECTS)
        except BrokerError:  # it is asked again
            return
        for each in found:
            if each.subject not in self._known:
                self._known.add(each.subject)
                self._say(sentence(each, self.declared.listeners.get(stream, [])))


def sentence(found: Undeclared, listeners: list[str]) -> str:
    """What is there, what was meant, and who does not see it."""
    meant = f"; {found.nearest} was probably meant" if found.nearest else ""
    unseen = f"; {listed(listeners)} will not see it" if listeners else ""
    return (
        f"warning: {counted(found.messages, 'message')} on {found.subject} in {found.stream}, "
        f"which no service declares{meant}{unseen} (jetmesh doctor)"
    )
