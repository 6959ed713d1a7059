"""Health means progress: connected, every durable there as declared, and its ack floor moving."""

from __future__ import annotations

from typing import Protocol

from jetmesh.privacy.mask import name_of


class Source(Protocol):
    """Something that may keep a service from working: the data plane, a pull, a watch."""

    @property
    def problem(self) -> str:
        """What is wrong, in words; empty when all is well."""


class Noting(Protocol):
    """Something of which people should know, though the service works."""

    @property
    def note(self) -> str:
        """What that is, in words; empty when there is nothing."""


class Health:
    """What keeps a service from working, in words."""

    def __init__(self) -> None:
        self.starting = "starting"
        """The step of the start that is not done; empty once it runs."""
        self.sources: list[Source] = []
        self.noting: list[Noting] = []

    def problems(self) -> list[str]:
        """Everything that is wrong now; ready when there is nothing."""
        found = [self.starting] if self.starting else []
        return found + [problem for source in self.sources if (problem := _problem_of(source))]

    def notes(self) -> list[str]:
        """What people should know, though it works: it stays ready."""
        return [each.note for each in self.noting if each.note]


def _problem_of(source: Source) -> str:
    try:
        return source.problem
    except Exception as error:  # noqa: BLE001 - what cannot say how it is, is not well
        return f"the health of {type(source).__name__} is not known ({name_of(error)})"
