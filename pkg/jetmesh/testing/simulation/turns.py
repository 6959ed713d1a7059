"""Turns that never end: how long something takes for real makes no difference."""

from __future__ import annotations

import math

from jetmesh.transport.turns import Turns


class EndlessTurns(Turns):
    """Whatever there is to do is done before anything else is due."""

    def __init__(self) -> None:
        super().__init__()
        self.until = math.inf

    @property
    def is_over(self) -> bool:
        return False

    def begin(self) -> None:
        """The real clock is not looked at."""
