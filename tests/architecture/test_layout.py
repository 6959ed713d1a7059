"""`cmd` is run and never imported, and everything deployable is in it."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

from shop.system import system


@pytest.fixture
def commands(root: Path) -> list[Path]:
    """The folders below cmd/, one per deployable."""
    return [path for path in sorted((root / "cmd").iterdir()) if path.name != "__pycache__"]


def test_cmd_is_still_the_module_of_the_standard_library(root: Path) -> None:
    """The debugger imports it; a package of ours would break `breakpoint()`."""
    answer = subprocess.run(
        [sys.executable, "-c", "import cmd, pdb; print(cmd.__file__)"],
        cwd=root,  # the interpreter looks here first
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(answer.stdout.strip()) == Path(sysconfig.get_path("stdlib"), "cmd.py")


def test_cmd_holds_one_main_per_deployable_and_nothing_else(commands: list[Path]) -> None:
    for command in commands:
        assert command.is_dir(), f"{command} is no folder of a deployable"
        names = [path.name for path in command.iterdir() if path.name != "__pycache__"]
        assert names == ["main.py"], f"{command} holds {names}"


def test_a_main_has_at_most_forty_lines(commands: list[Path]) -> None:
    for command in commands:
        lines = (command / "main.py").read_text().splitlines()
        assert len(lines) <= 40, f"{command / 'main.py'} has {len(lines)} lines"


def test_every_service_and_sandbox_can_be_started(root: Path) -> None:
    expected = {service.name for service in system.load()}
    expected |= {sandbox.name for sandbox in system.sandboxes}
    assert {path.parent.name for path in root.glob("cmd/*/main.py")} == expected


def test_every_supported_python_is_named(root: Path) -> None:
    """`make test-pythons` reads the names; a gap among them would be a version nobody tries."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    prefix = "Programming Language :: Python :: 3."
    named = [int(c.removeprefix(prefix)) for c in project["classifiers"] if c.startswith(prefix)]
    lowest = int(project["requires-python"].removeprefix(">=3."))
    assert named == list(range(lowest, lowest + len(named)))
