"""The simulation stands apart: no real time in it, and no running service has it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from jetmesh.testing import simulation

HERE = Path(simulation.__file__).parent
CLOCKS = {"time", "datetime.now", "sleep", "monotonic", "perf_counter", "random", "secrets"}


def test_nothing_of_it_looks_at_the_real_clock_or_at_chance() -> None:
    found = [
        f"{path.name}: {name}"
        for path in HERE.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in names_of(node)
        if name in CLOCKS
    ]
    assert found == []


def names_of(node: ast.AST) -> list[str]:
    match node:
        case ast.Import():
            return [alias.name for alias in node.names]
        case ast.ImportFrom():
            return [node.module or "", *(alias.name for alias in node.names)]
        case ast.Call(func=ast.Attribute(attr="sleep")):
            return ["sleep"]
    return []


def test_a_running_service_does_not_import_it() -> None:
    assert imported("import jetmesh.runtime.process, jetmesh.cli.commands.run, shop.system") == []


def imported(code: str) -> list[str]:
    """What a process has of the simulation after `code`."""
    shown = f"{code}; import sys; print([n for n in sys.modules if '.simulation' in n])"
    done = subprocess.run([sys.executable, "-c", shown], check=True, capture_output=True, text=True)
    return list(ast.literal_eval(done.stdout))
