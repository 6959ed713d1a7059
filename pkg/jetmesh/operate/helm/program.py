"""The helm program: found where it was installed, run without a cluster."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from jetmesh.errors import JetmeshError, UsageError


def helm_program(root: Path) -> Path:
    """helm of PATH, else of .cache/bin below `root`.

    Raises:
        UsageError: there is none.
    """
    found = shutil.which("helm") or shutil.which("helm", path=str(root / ".cache" / "bin"))
    if found is None:
        raise UsageError(
            "There is no helm on PATH or in .cache/bin.",
            remedy="Install it as helm.sh says, or put it there.",
        )
    return Path(found)


def template(program: Path, chart: Path, values: Path, release: str) -> str:
    """What `helm template` prints.

    Raises:
        JetmeshError: helm refuses the chart or its values; the message is helm's.
    """
    done = subprocess.run(  # noqa: S603 - a program that was found, and paths
        [program, "template", release, chart, "--values", values],
        capture_output=True,
        encoding="utf-8",  # whatever the terminal shows
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise JetmeshError(
            f"helm does not render {values}: {done.stderr.strip()}", remedy="Correct that file."
        )
    return done.stdout
