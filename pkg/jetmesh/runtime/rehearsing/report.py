"""What a rehearsal found, grouped by kind."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final

from msgspec import Struct, field

from jetmesh.runtime.rehearsing.compare import Difference

_EXAMPLES: Final = 3


class Example(Struct, frozen=True, kw_only=True):
    """One message of a group."""

    key: str
    place: str
    """`PURCHASES:812`, as people look it up."""
    detail: str = ""
    """What is to be seen of it, masked."""


class Group(Struct, kw_only=True):
    """Messages that differ in the same way."""

    verdict: str
    """differs, fails, network, or passes: of a dead letter."""
    kind: str
    """What `--allow` names."""
    verb: str
    about: str
    """In what they differ, or why they fail."""
    count: int = 0
    allowed: bool = False
    examples: list[Example] = field(default_factory=list)


class Report(Struct, kw_only=True):
    """One handler's rehearsal."""

    handler: str
    """`payments.charge`."""
    subject: str
    """What it handles."""
    rehearsed: int = 0
    """Messages that were handled."""
    same: int = 0
    open: int = 0
    """They have no verdict yet, so there is nothing to compare with."""
    gone: int = 0
    """What came of them is no longer stored."""
    today: int = 0
    """The state that they met is not known: they were given that of today."""
    why_today: str = ""
    others: int = 0
    """Another message had decided their key: they were not handled."""
    groups: list[Group] = field(default_factory=list)
    """The largest first."""

    @property
    def refused(self) -> bool:
        """Whether there is a group that nobody allowed."""
        return not all(group.allowed for group in self.groups)


class Tally:
    """Counts one handler's messages."""

    def __init__(self, handler: str, subject: str, why_today: str = "") -> None:
        self._report = Report(handler=handler, subject=subject, why_today=why_today)
        self._groups: dict[tuple[str, str], Group] = {}

    def add(self, found: Difference, example: Example) -> None:
        """One message."""
        report = self._report
        report.rehearsed += found.verdict != "others"
        match found.verdict:
            case "same":
                report.same += 1
            case "open":
                report.open += 1
            case "gone":
                report.gone += 1
            case "today":
                report.today += 1
            case "others":
                report.others += 1
            case _:
                self.group(found, example)

    def group(self, found: Difference, *examples: Example) -> None:
        """Put it with those of its kind."""
        made = Group(verdict=found.verdict, kind=found.kind, verb=found.verb, about=found.about)
        group = self._groups.setdefault((found.kind, found.about), made)
        group.count += 1
        if len(group.examples) < _EXAMPLES:
            group.examples += examples

    def report(self, allowed: Iterable[str]) -> Report:
        """All of it; groups of a kind that a pattern of `allowed` names are allowed."""
        patterns = tuple(allowed)
        groups = sorted(self._groups.values(), key=lambda group: (-group.count, group.kind))
        for group in groups:
            named = any(fnmatchcase(group.kind, pattern) for pattern in patterns)
            group.allowed = named or group.verdict == "passes"
        self._report.groups = groups
        return self._report
