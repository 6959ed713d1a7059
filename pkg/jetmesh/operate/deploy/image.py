"""Building the image, with docker or podman, whichever works."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from jetmesh.errors import UsageError

_base = re.compile(r"^ARG BASE=(\S+)$", re.MULTILINE)
_BUILDERS: Final = ("docker", "podman")


def build_command(
    root: Path, name: str, options: Sequence[str], environ: Mapping[str, str]
) -> list[str]:
    """What builds the image of the project at `root`; run it there.

    BUILDER names the program, BASE the image that it is built on.

    Raises:
        UsageError: no builder works here, or there is no Dockerfile.
    """
    dockerfile = Path("deploy", "image", "Dockerfile")
    if not (root / dockerfile).is_file():
        raise UsageError(f"There is no {dockerfile}.", remedy="jetmesh deploy init writes it.")
    base = [f"--build-arg=BASE={environ['BASE']}"] if environ.get("BASE") else []
    return [
        environ.get("BUILDER") or _builder(),
        "build",
        f"--file={dockerfile}",
        f"--tag={name}",
        f"--build-arg=VERSION={_tag(name)}",
        f"--build-arg=REVISION={_revision(root)}",
        *base,
        *options,
        ".",
    ]


def floating_base(root: Path, environ: Mapping[str, str]) -> str:
    """The base of the image of the project at `root` if it may be another tomorrow, else empty."""
    dockerfile = (root / "deploy" / "image" / "Dockerfile").read_text(encoding="utf-8")
    declared = _base.search(dockerfile)
    base = environ.get("BASE") or (declared[1] if declared else "")
    return "" if "@sha256:" in base else base


def _builder() -> str:
    """A client without its daemon is none."""
    for name in filter(shutil.which, _BUILDERS):
        answered = subprocess.run([name, "info"], capture_output=True, check=False)  # noqa: S603 - one of two names
        if answered.returncode == 0:
            return name
    raise UsageError(
        "Neither docker nor podman works here.",
        remedy="Install one of them, or start docker's daemon.",
    )


def _tag(name: str) -> str:
    """Behind the last colon, unless that is a registry's port."""
    tag = name.rpartition(":")[2]
    return "latest" if tag == name or "/" in tag else tag


def _revision(root: Path) -> str:
    if shutil.which("git") is None:
        return "unknown"
    told = subprocess.run(
        ["git", "rev-parse", "HEAD"],  # noqa: S607 - git of PATH, as the person's own
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    return told.stdout.strip() or "unknown"
