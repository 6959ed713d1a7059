"""Fixtures that several files of this directory use."""

from tests.integration.child_process import child
from tests.integration.identities import configured
from tests.integration.own_project import garage, open_garage, run_up
from tests.integration.planes import own_broker
from tests.integration.secured import secured
from tests.integration.tiny_project import project, start

__all__ = [
    "child",
    "configured",
    "garage",
    "open_garage",
    "own_broker",
    "project",
    "run_up",
    "secured",
    "start",
]
