"""An event that gives way to another one, as a value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from jetmesh.declare.signature import Signature


@dataclass(frozen=True, slots=True)
class Replacement:
    """What `@replaces` declares."""

    subject: str
    """Of the event that takes its place."""
    reason: str
    until: date
    """When nobody is to need the old one any more."""
    function: Callable[..., Any]
    """Makes the new event of an old one."""
    signature: Signature
    """Of the function, read where it is declared."""
    where: str
