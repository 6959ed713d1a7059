"""A line for what the broker of `jetmesh up` refuses, with what was probably meant.

Whoever publishes is told "permissions violation" and no more: the server knows no declarations. Its
log says whom it refused what.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from jetmesh.operate.identities import CLIENT
from jetmesh.operate.up.access import AS_OPERATOR
from jetmesh.operate.up.prepare import Prepared

_LOOK_SECONDS: Final = 0.25
_MOST_READ: Final = 1 << 20
_MOST_SAID: Final = 500
"""So many different ones of one run: who makes up subjects is told no more."""
_LINE: Final = re.compile(
    r'\[ERR\] .* - "[^"]*/(?:user|nkey):(?P<who>[^"/]+)" - '
    r'(?P<act>Publish|Subscription) Violation - (?:Reply )?Subject "(?P<subject>[^"]+)"'
)


class Refused:
    """Follows the server's log, and says of each refusal once that it was."""

    def __init__(self, log: Path, say: Callable[[str], None]) -> None:
        self._log = log
        self._say = say
        self._said: set[str] = set()
        self.known: Prepared | None = None
        """What the system declares now; it changes while one works on it."""

    async def run(self) -> None:
        """Look until this is cancelled."""
        with self._log.open("rb") as log:
            log.seek(0, os.SEEK_END)
            rest = b""
            while True:
                *lines, rest = (rest + log.read(_MOST_READ)).split(b"\n")
                for line in lines:
                    self._take(line.decode(errors="replace"))
                rest = rest[-_MOST_READ:]
                await asyncio.sleep(_LOOK_SECONDS)

    def _take(self, line: str) -> None:
        found = _LINE.search(line)
        if found is None or self.known is None:
            return
        text = _sentence(self.known, **found.groupdict())
        if text not in self._said and len(self._said) < _MOST_SAID:
            self._said.add(text)
            self._say(text)


def _sentence(known: Prepared, who: str, act: str, subject: str) -> str:
    """Who was refused what, why, and what was probably meant."""
    who = known.users.get(who, who)
    if who != CLIENT:
        verb = "publish on" if act == "Publish" else "listen on"
        return f"refused: {who} may not {verb} {subject}: it declares nothing that needs it"
    if act != "Publish" or subject.startswith("$"):
        verb = "ask" if act == "Publish" else "listen on"
        return f"refused: who does not log in may not {verb} {subject}; {AS_OPERATOR} may"
    if known.declared.is_declared(subject):
        return f"refused: {subject} does not come from outside: a service publishes it"
    meant = known.declared.nearest(subject)
    return f"refused: {subject}: nobody reads that" + (
        f"; did you mean {meant}?" if meant in known.external_events else ""
    )
