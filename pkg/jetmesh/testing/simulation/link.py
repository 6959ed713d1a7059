"""The two ends of a connection, and what is on its way between them."""

from __future__ import annotations

from jetmesh.testing.simulation.agenda import Line
from jetmesh.testing.simulation.server import Server


class Link:
    """What everything of one process has in common."""

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.name = name
        self.down = "not connected to the broker yet"
        """Why nothing arrives, in words; empty while connected."""
        self.sent = Line(f"{name}: sent", server.agenda)
        """On its way to the server."""
        self.answers = Line(f"{name}: answers", server.agenda)
        """PubAcks, and why there are none, on their way here."""
        self.found = Line(f"{name}: looks", server.agenda)
        """Answers to look-ups, on their way here."""

    @property
    def is_up(self) -> bool:
        return not self.down

    def lose_all(self) -> None:
        """Lose whatever is on its way."""
        for line in (self.sent, self.answers, self.found):
            line.waiting.clear()

    def close(self) -> None:
        """There is no such process any more."""
        for line in (self.sent, self.answers, self.found):
            line.close()
