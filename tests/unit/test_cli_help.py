"""`jetmesh --help`: it teaches, it is quick, and mistakes in use are told from failures."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jetmesh import __version__, cli
from jetmesh.cli import app
from jetmesh.errors import BrokerError, UsageError

COMMANDS = [name for names in app.COMMANDS.values() for name in names]


def test_help_names_every_command() -> None:
    shown = CliRunner().invoke(app.app, ["--help"])
    assert shown.exit_code == 0
    assert all(f" {name} " in shown.stdout for name in COMMANDS)
    assert "[tool.jetmesh]" in shown.stdout


def test_the_version_is_told() -> None:
    told = CliRunner().invoke(app.app, ["--version"])
    assert told.exit_code == 0
    assert told.stdout.startswith(f"jetmesh {__version__}, Python 3.")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_shows_an_example(command: str) -> None:
    shown = CliRunner().invoke(app.app, [command, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert f"jetmesh {command}" in shown.stdout.partition("Example:")[2]


def test_help_loads_neither_the_broker_client_nor_the_web_server() -> None:
    """What takes time to import is imported by the command that needs it."""
    program = (
        "import sys; from jetmesh.cli.app import app; "
        "print([m for m in ('nats', 'starlette', 'asyncio', 'yaml') if m in sys.modules])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert shown.stdout == "[]\n"


def test_a_wrong_use_exits_with_2() -> None:
    jetmesh = Path(sys.executable).with_name("jetmesh")
    for arguments in (["publish"], ["nonsense"], ["plan", "--chekc"]):
        told = subprocess.run([jetmesh, *arguments], capture_output=True, text=True, check=False)
        assert told.returncode == 2
        assert told.stdout == ""
        assert "Traceback" not in told.stderr


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (
            UsageError("No such thing.", remedy="Name another."),
            2,
            "No such thing.\nName another.\n",
        ),
        (BrokerError("It refused."), 1, "It refused.\n"),
        (BrokerError("It said \x1b[2J."), 1, "It said \\x1b[2J.\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_errors_are_a_sentence_and_a_remedy(
    error: BaseException,
    code: int,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr("jetmesh.cli.app.app", fail)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == code
    assert capsys.readouterr().err == told


def test_a_fault_is_no_traceback_unless_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("jetmesh.cli.app.app", fail)
    monkeypatch.delenv("JETMESH_DEBUG", raising=False)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 70  # not 1: that is the answer of doctor and of --check
    assert capsys.readouterr().err.startswith("ZeroDivisionError: oh\nThis is a bug")
    monkeypatch.setenv("JETMESH_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        cli.main()


@pytest.mark.parametrize("arguments", [["settings"], ["settings", "--json"], ["topology"]])
def test_what_is_declared_is_listed_in_one_order(arguments: list[str]) -> None:
    """Not in that of a set, which is another one in every process."""
    jetmesh = Path(sys.executable).with_name("jetmesh")
    told = {
        subprocess.run(
            [jetmesh, *arguments],
            capture_output=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": str(seed)},
        ).stdout
        for seed in range(3)
    }
    assert len(told) == 1
