"""Somebody else on this machine, and what lies about in a directory that was checked out."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from jetmesh.operate.up import upfile
from jetmesh.operate.up.process import identified
from tests.integration.tiny_project import Up, command, tiny

EVERYBODY = 0o077
"""The bits of a mode that let others in."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tiny(tmp_path / "tiny")


@pytest.fixture
def innocent() -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours with a name like a service's, which no mesh started."""
    sleeper = [sys.executable, "-c", "import time; time.sleep(120)", "first nats-server"]
    process = subprocess.Popen(sleeper)
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def ran(root: Path) -> Path:
    """What a mesh leaves whose terminal was closed hard."""
    up = Up(root)
    up.wait_for("Ctrl-C stops everything")
    content = (root / ".jetmesh" / "up.json").read_bytes()
    assert up.end() == 0
    (root / ".jetmesh" / "up.json").write_bytes(content)
    return root


def test_down_and_clean_end_nobody_whom_a_stale_file_names(
    ran: Path, innocent: subprocess.Popen[bytes]
) -> None:
    """The process id was given again, to a program whose command line says the same words."""
    state = ran / ".jetmesh"
    for act in ("down", "clean"):
        stale = upfile.read(state) or pytest.fail("there is no up.json")
        stale.broker.pid = innocent.pid
        for each in stale.services.values():
            each.pid = innocent.pid
        upfile.write(state, stale)
        assert command(ran, act).returncode == 0
        assert innocent.poll() is None
        state.mkdir(exist_ok=True)
        upfile.write(state, stale)


def test_down_ends_nobody_whom_a_stale_lock_names(
    ran: Path, innocent: subprocess.Popen[bytes]
) -> None:
    """Somebody else holds the lock, and the process id in it was given again."""
    lock = ran / ".jetmesh" / "up.lock"
    with lock.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for stale in (str(innocent.pid), f"{innocent.pid} {identified(os.getpid()).began}", ""):
            lock.write_text(stale)
            refused = command(ran, "down")
            assert refused.returncode == 1
            assert "is not the process that it names" in refused.stderr
            assert innocent.poll() is None


def test_nobody_else_may_look_into_what_a_mesh_keeps(root: Path) -> None:
    """Nobody else may take the lock either: whoever can open it, can."""
    state = root / ".jetmesh"
    state.mkdir(mode=0o755)  # as an older version made it
    (state / "up.lock").touch(mode=0o644)
    up = Up(root)
    up.wait_for("Ctrl-C stops everything")
    try:
        assert not state.stat().st_mode & EVERYBODY
        for name in ("up.lock", "up.json"):
            assert not (state / name).stat().st_mode & EVERYBODY
    finally:
        assert up.end() == 0


def test_a_lock_that_is_a_link_overwrites_nothing(root: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("everything")
    (root / ".jetmesh").mkdir()
    (root / ".jetmesh" / "up.lock").symlink_to(precious)
    assert command(root, "up").returncode == 2
    assert precious.read_text() == "everything"


@pytest.mark.parametrize("link", ["", "nats"])
def test_clean_deletes_nothing_through_a_link(root: Path, tmp_path: Path, link: str) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("everything")
    state = root / ".jetmesh"
    if link:
        state.mkdir()
    (state / link if link else state).symlink_to(precious)
    refused = command(root, "clean")
    assert refused.returncode == 2
    assert "is a symbolic link" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert (precious / "file").read_text() == "everything"


def test_what_a_mesh_says_of_itself_names_beginnings(ran: Path) -> None:
    """Without them nobody is ended: a file of an older version holds none."""
    state = ran / ".jetmesh"
    said = msgspec.json.decode((state / "up.json").read_bytes())
    assert all(each["began"] for each in (*said["services"].values(), said["broker"]))
