"""The name of a system where only some characters may stand: chart, image, labels."""

from __future__ import annotations

import re

from jetmesh.declare.system import System
from jetmesh.errors import UsageError


def name_of(system: System) -> str:
    """In small letters, digits and hyphens, as Kubernetes and registries take it.

    Raises:
        UsageError: nothing is left of it.
    """
    found = re.sub("[^a-z0-9]+", "-", system.name.lower()).strip("-")[:50].rstrip("-")
    if not found[:1].isalpha():
        raise UsageError(
            f"A chart cannot be named after the system {system.name!r}.",
            remedy="Begin the name in System(…) with a letter from a to z.",
        )
    return found
