"""`jetmesh up`, `down` and `clean`: what they refuse, in one sentence each."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

from tests.integration.tiny_project import (
    Up,
    command,
    is_alive,
)


def test_a_mesh_that_runs_is_neither_started_again_nor_forgotten_until_down_has_ended_it(
    start: Callable[..., Up],
) -> None:
    up = start()
    up.wait_for("Ctrl-C stops everything")
    pids = [each.pid for each in up.state.processes()]
    for again in ("up", "clean"):
        refused = command(up.root, again)
        assert refused.returncode == 1
        assert refused.stderr == (
            f"A mesh of this project runs already (process {up.process.pid}).\n"
            "End it with `jetmesh down`.\n"
        )
    ended = command(up.root / "cmd", "down")  # from any directory of the project
    assert (ended.returncode, ended.stdout) == (0, "The mesh has ended.\n")
    assert not any(is_alive(pid) for pid in pids)
    assert up.ended() == 0
    assert command(up.root, "down").stdout == "No mesh runs here.\n"
    assert (up.root / ".jetmesh" / "nats").exists()
    assert command(up.root, "clean").returncode == 0
    assert not (up.root / ".jetmesh").exists()


def test_a_taken_port_is_one_sentence(start: Callable[..., Up]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        up = start(port=port)
        assert up.ended() != 0
    said, remedy = up.printed.splitlines()
    taken = f"The port {port} of the broker (--port) is taken by process {os.getpid()} (python"
    assert said.startswith(taken)
    assert remedy == "End that program, or change --port."


def test_a_store_that_cannot_be_written_is_one_sentence(
    start: Callable[..., Up], project: Path
) -> None:
    (project / "file").touch()
    up = start("--store", "file/below")
    assert up.ended() != 0
    assert re.fullmatch(r"The store directory .*file/below cannot be written.*\n.*\n", up.printed)


def test_an_unknown_setting_is_one_sentence(start: Callable[..., Up], project: Path) -> None:
    (project / "jetmesh.toml").write_text("[htpp]\nport = 1")
    up = start()
    assert up.ended() == 1
    assert "there is no setting 'htpp'. Did you mean 'http'?" in up.printed
    assert len(up.printed.splitlines()) == 1
    assert not (project / "journal").exists()


def test_a_sandbox_without_a_program_is_one_sentence(
    start: Callable[..., Up], project: Path
) -> None:
    (project / "cmd" / "stand-in" / "main.py").unlink()
    up = start()
    assert up.ended() != 0
    assert "stand-in cannot be started: there is no " in up.printed
    assert not (project / "journal").exists()
