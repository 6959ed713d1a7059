"""Replicas that race for one key: who loses waits a little, and takes in more at once after that.

Of those that try at the same time one wins, and the others ran their handler for nothing. So each
makes a pause before it tries again, random, and longer the more often it lost; meanwhile inputs
gather, and are taken in by one step. A single loss is no race yet: somebody else had the key's
input before, and what this process remembered of it was old.
"""

from __future__ import annotations

import random
from typing import Final

from jetmesh.runtime.message.states.known import Line

_FIRST_SECONDS: Final = 0.004
_LONGEST_SECONDS: Final = 0.064
_CALMER: Final = 0.9
"""What is left of a pause with each step that is stored."""


def lost(line: Line) -> None:
    """A step was refused, because another replica was quicker."""
    if line.lost:
        line.pause = min(_LONGEST_SECONDS, max(_FIRST_SECONDS, 2 * line.pause))
    line.lost = True


def won(line: Line) -> None:
    """A step was stored."""
    line.lost = False
    if line.pause:
        line.pause *= _CALMER
        if line.pause < _FIRST_SECONDS:
            line.pause = 0.0


def pause(line: Line) -> float:
    """Seconds until a key that replicas race for is to be looked at, and tried again."""
    return line.pause * random.random()  # noqa: S311 - jitter is no secret
