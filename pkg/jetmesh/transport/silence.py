"""How long a connection has been silent: asked for a sign of life, then given up."""

from __future__ import annotations

from typing import Final

from jetmesh.transport.link import Link

ASK_SECONDS: Final = 2.0
GIVE_UP_SECONDS: Final = 2 * ASK_SECONDS


class Silence:
    """Counts the seconds of one connection after another."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def end(self) -> None:
        """A new connection was heard."""
        self._seconds = 0.0

    def notice(self, link: Link, seconds: float) -> None:
        """So many seconds passed since the last look."""
        before = self._seconds
        self._seconds = 0.0 if link.heard else before + seconds
        link.heard = False
        if before < ASK_SECONDS <= self._seconds:
            link.ping()
        elif self._seconds >= GIVE_UP_SECONDS:
            link.abort("the server is silent")
