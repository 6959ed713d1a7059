"""Where the mesh runs, said in one place: docs/running.md says the same to people."""

from __future__ import annotations

import os

from jetmesh.errors import StartError


def require_posix() -> None:
    """Refuse to start where signals and file locks are others.

    Raises:
        StartError: this is Windows.
    """
    if os.name != "posix":
        raise StartError(
            "jetmesh does not run on Windows.",
            remedy="It is made for Linux: use a container, or the Windows Subsystem for Linux.",
        )
