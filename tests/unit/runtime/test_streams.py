"""The standard streams of a process, whatever its caller made of them."""

from __future__ import annotations

import subprocess
import sys

import pytest

SAYS = """
import os, sys
from jetmesh.runtime import streams
streams.keep_standard_error()
"""


def run(code: str, where: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    line = f'exec "$0" -c "$1" {where}'
    return subprocess.run(
        ["bash", "-c", line, sys.executable, SAYS + code],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        timeout=30,
        env={"PYTHONPATH": ":".join(sys.path)} | environ,
    )


@pytest.mark.parametrize("where", ["2>&-", "2>/dev/full", "<&- >&- 2>&-"])
def test_an_error_output_that_takes_nothing_ends_nothing(where: str) -> None:
    done = run("for _ in range(9999): sys.stderr.write('a line that is lost\\n')", where)
    assert done.returncode == 0


def test_a_socket_never_takes_the_number_of_a_closed_stream() -> None:
    code = "import socket; number = socket.socket().detach(); os._exit(number)"
    assert run(code, "<&- >&- 2>&-").returncode > 2


def test_what_an_encoding_cannot_show_is_spelled() -> None:
    code = "sys.stderr.write('\\u2713 \\u20ac \\ud800 \\u2502 \\u2022')"
    assert run(code, PYTHONIOENCODING="ascii").stderr == r"+ \u20ac \ud800 | *"
    assert run(code, PYTHONIOENCODING="cp1252").stderr.startswith("+ ")
    assert run(code, PYTHONIOENCODING="utf-8").stderr == "✓ € \\ud800 │ •"
