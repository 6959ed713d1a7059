"""`jetmesh up`, `down` and `clean`."""

from __future__ import annotations

import contextlib
import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jetmesh.cli.output import echo, finishing
from jetmesh.errors import JetmeshError, UsageError
from jetmesh.extras import require
from jetmesh.operate.project import find_project
from jetmesh.operate.up import upfile

_LONGEST_END: Final = 60.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be started, as the command line says it."""

    sandbox: bool
    only: Sequence[str]
    replicas: Sequence[str]
    """`payments=3`"""
    reload: bool
    together: bool
    """All services in one process."""
    everybody: bool
    """Whoever connects to the broker may do everything."""
    tls: bool


def up(reference: str, port: int, store: Path | None, wanted: Wanted) -> int:
    """Run the mesh until a signal ends it, and return the exit code.

    Raises:
        JetmeshError: it cannot be started as it is asked to.
    """
    from jetmesh.operate.up.logfiles import LogFiles  # noqa: PLC0415 - the same
    from jetmesh.operate.up.programs import Chosen  # noqa: PLC0415 - down and clean need none of it
    from jetmesh.operate.up.screen import Screen  # noqa: PLC0415 - down and clean need none of it
    from jetmesh.operate.up.supervise import Options, up  # noqa: PLC0415 - the same

    if wanted.reload:
        require("up", "jetmesh up --reload", "watchfiles")
    if wanted.tls:
        require("up", "jetmesh up --tls", "trustme")
    if wanted.together and wanted.replicas:
        raise UsageError(
            "--together runs one process, --replicas several.", remedy="Choose one of the two."
        )
    chosen = Chosen(
        sandboxes=wanted.sandbox,
        only=tuple(wanted.only),
        replicas=dict(map(_count, wanted.replicas)),
        together=wanted.together,
    )
    place = store.resolve() if store else None
    options = Options(
        reference,
        port,
        place,
        chosen,
        reload=wanted.reload,
        everybody=wanted.everybody,
        tls=wanted.tls,
    )
    project = find_project(reference)
    with finishing(), contextlib.closing(LogFiles(project.state / "logs")) as files:
        return up(project, options, Screen(record=files.write))


def down(reference: str) -> None:
    """End the mesh that runs, and wait until it is gone."""
    state = find_project(reference).state
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


def _count(text: str) -> tuple[str, int]:
    """`payments=3`.

    Raises:
        UsageError: it is written otherwise.
    """
    name, _, number = text.partition("=")
    if not (number.isdecimal() and int(number)):
        raise UsageError(
            f"--replicas takes a service and a number, not {text!r}.",
            remedy="Write --replicas payments=3; --only leaves services out.",
        )
    return name, int(number)


def clean(reference: str) -> None:
    """Remove what the mesh stored.

    Raises:
        JetmeshError: it runs.
        UsageError: a symbolic link leads elsewhere.
    """
    state = find_project(reference).state
    _stay_inside(state)
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


def _stay_inside(state: Path) -> None:
    """Follow no link: what it leads to is not ours to delete.

    Raises:
        UsageError: there is one.
    """
    entries = sorted(state.iterdir()) if state.is_dir() and not state.is_symlink() else []
    for link in filter(Path.is_symlink, (state, *entries)):
        raise UsageError(
            f"{link} is a symbolic link to {link.readlink()}: nothing is deleted through it.",
            remedy="Remove the link, and by hand what it leads to.",
        )
