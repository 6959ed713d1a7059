"""Elsewhere than on POSIX nothing starts, and one sentence says why."""

from __future__ import annotations

import subprocess
import sys

import pytest

ELSEWHERE = "import os; os.name = 'nt'; "
"""After the imports: the standard library's own depend on it."""


@pytest.mark.parametrize(
    "start",
    [
        "from jetmesh import cli; {elsewhere}cli.main()",
        "import jetmesh, jetmesh.runtime.process; {elsewhere}jetmesh.run(jetmesh.Service('a'))",
    ],
)
def test_windows_is_refused_in_a_sentence(start: str) -> None:
    program = start.format(elsewhere=ELSEWHERE)
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert told.returncode == 1
    assert "jetmesh does not run on Windows." in told.stderr
    assert "It is made for Linux" in told.stderr
    assert "Traceback" not in told.stderr
