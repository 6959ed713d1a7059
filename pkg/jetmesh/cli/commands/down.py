"""Stop a mesh that was started in another terminal, and wait until it has stopped.

Example: jetmesh down
"""

from __future__ import annotations

import signal
import time
from typing import Final

from jetmesh.cli.options import System
from jetmesh.cli.output import echo
from jetmesh.errors import JetmeshError
from jetmesh.operate.project import find_project
from jetmesh.operate.up import upfile

_LONGEST_END: Final = 60.0


def down(system: System = "") -> None:
    state = find_project(system).state
    mesh = upfile.supervisor(state)
    if mesh is None:
        left = []
        if upfile.read(state) is not None:
            with upfile.locked(state):
                left = upfile.end_orphans(state)
        echo(f"Stopped what was left over: {', '.join(left)}." if left else "No mesh runs here.")
        return
    if not mesh.send(signal.SIGTERM) and upfile.supervisor(state) == mesh:
        raise JetmeshError(
            f"Who holds the lock {state / 'up.lock'} is not the process that it names.",
            remedy=f"Nothing was ended; `lsof {state / 'up.lock'}` shows who it is.",
        )
    deadline = time.monotonic() + _LONGEST_END
    while upfile.supervisor(state) == mesh:
        if time.monotonic() > deadline:
            raise JetmeshError(
                f"The mesh (process {mesh.pid}) did not end within {_LONGEST_END:.0f} s.",
                remedy=f"Look at its terminal, or end it at once: kill -9 {mesh.pid}",
            )
        time.sleep(0.05)
    echo("The mesh has ended.")
