"""The `jetmesh` command as people type it, in a process of its own or, sooner, in this one."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

from jetmesh import cli
from tests import warm

ROOT = Path(__file__).parents[2]
JETMESH = str(Path(sys.executable).with_name("jetmesh"))


@dataclass
class Said:
    """What a command did."""

    returncode: int
    stdout: str
    stderr: str


def jetmesh(
    *arguments: str, url: str = "", stdin: str = "", cwd: Path = ROOT, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run it as a process, at the broker of `url`."""
    return warm.command(arguments, cwd=cwd, env=_environment(url, environ), stdin=stdin)


def said(*arguments: str, url: str = "", stdin: str = "", cwd: Path = ROOT, **environ: str) -> Said:
    """Run it in this process, outside of an event loop: too many tests do to start one for each."""
    out, err = io.TextIOWrapper(io.BytesIO(), write_through=True), io.StringIO()
    with (
        mock.patch.dict(os.environ, _environment(url, environ), clear=True),
        mock.patch.object(sys, "argv", ["jetmesh", *arguments]),
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()))),
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        cli.main()
    out.seek(0)
    code = ended.value.code
    return Said(code if isinstance(code, int) else 0, out.read(), err.getvalue())


def _environment(url: str, more: dict[str, str]) -> dict[str, str]:
    """The caller's, without what belongs to a mesh of their own."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("JETMESH", "NATS_"))}
    return kept | ({"NATS_URL": url} if url else {}) | more
