"""`jetmesh up`, `down` and `clean`."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Final

from jetmesh.cli.output import echo, finishing
from jetmesh.errors import JetmeshError
from jetmesh.operate.project import find_project
from jetmesh.operate.up import upfile

_LONGEST_END: Final = 60.0


def up(reference: str, port: int, store: Path | None, *, sandbox: bool) -> int:
    """Run the mesh until a signal ends it, and return the exit code."""
    from jetmesh.operate.up.screen import Screen  # noqa: PLC0415 - down and clean need none of it
    from jetmesh.operate.up.supervise import Options, up  # noqa: PLC0415 - the same

    options = Options(reference, port, store.resolve() if store else None, sandbox=sandbox)
    project = find_project(reference)
    with finishing():
        return up(project, options, Screen())


def down(reference: str) -> None:
    """End the mesh that runs, and wait until it is gone."""
    state = find_project(reference).state
    pid = upfile.supervisor(state)
    if not pid:
        left = []
        if upfile.read(state) is not None:
            with upfile.locked(state):
                left = upfile.end_orphans(state)
        echo(f"Stopped what was left over: {', '.join(left)}." if left else "No mesh runs here.")
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _LONGEST_END
    while upfile.supervisor(state) == pid:
        if time.monotonic() > deadline:
            raise JetmeshError(
                f"The mesh (process {pid}) did not end within {_LONGEST_END:.0f} s.",
                remedy=f"Look at its terminal, or end it at once: kill -9 {pid}",
            )
        time.sleep(0.05)
    echo("The mesh has ended.")


def clean(reference: str) -> None:
    """Remove what the mesh stored."""
    state = find_project(reference).state
    if not state.exists():
        echo("There is nothing to delete.")
        return
    with upfile.locked(state):
        upfile.end_orphans(state)
        for entry in state.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
    shutil.rmtree(state)
    echo(f"Deleted what was stored in {state}.")
