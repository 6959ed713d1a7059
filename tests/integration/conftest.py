"""Fixtures that several files of this directory use."""

from tests.integration.tiny_project import project, start

__all__ = ["project", "start"]
