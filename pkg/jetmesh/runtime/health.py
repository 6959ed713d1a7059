"""Health means progress: connected, every durable there as declared, and its ack floor moving."""

from __future__ import annotations

from typing import Protocol

from jetmesh.privacy.mask import name_of


class Source(Protocol):
    """Something that may keep a service from working: the data plane, a pull, a watch."""

    @property
    def problem(self) -> str:
        """What is wrong, in words; empty when all is well."""


class Health:
    """What keeps a service from working, in words."""

    def __init__(self) -> None:
        self.starting = "starting"
        """The step of the start that is not done; empty once it runs."""
        self.sources: list[Source] = []

    def problems(self) -> list[str]:
        """Everything that is wrong now; ready when there is nothing."""
        found = [self.starting] if self.starting else []
        return found + [problem for source in self.sources if (problem := _problem_of(source))]


def _problem_of(source: Source) -> str:
    try:
        return source.problem
    except Exception as error:  # noqa: BLE001 - what cannot say how it is, is not well
        return f"the health of {type(source).__name__} is not known ({name_of(error)})"
