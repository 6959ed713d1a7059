"""up.json and its lock: who runs, and what was left over."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jetmesh.errors import UsageError
from jetmesh.operate.up import upfile
from jetmesh.operate.up.process import identified
from jetmesh.operate.up.upfile import AlreadyUp, Running, Up


def made(**services: int) -> Up:
    return Up(
        nats_url="nats://127.0.0.1:4222",
        pid=os.getpid(),
        broker=Running(0, "nats://127.0.0.1:4222"),
        services={name: Running.now(pid, "http://127.0.0.1:1") for name, pid in services.items()},
    )


@pytest.mark.parametrize("nonsense", [b"", b"{}", b'{"nats_url": "\xff"}', b"[" * 100_000])
def test_nonsense_is_no_mesh(tmp_path: Path, nonsense: bytes) -> None:
    (tmp_path / "up.json").write_bytes(nonsense)
    assert upfile.read(tmp_path) is None


def test_what_is_written_is_read(tmp_path: Path) -> None:
    upfile.write(tmp_path, made(payments=7))
    assert upfile.read(tmp_path) == made(payments=7)
    assert [file.name for file in tmp_path.iterdir()] == ["up.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": "x"}'])
def test_nonsense_is_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "up.json").write_bytes(content)
    assert upfile.read(tmp_path) is None


def test_only_a_held_lock_is_a_running_mesh(tmp_path: Path) -> None:
    """A file that a killed supervisor left says nothing, whoever has its process id now."""
    upfile.write(tmp_path, made())
    assert upfile.running(tmp_path) is None
    with upfile.locked(tmp_path):
        assert upfile.running(tmp_path) == made()
        assert upfile.supervisor(tmp_path) == identified(os.getpid())
    assert upfile.running(tmp_path) is None


def test_the_lock_is_held_once(tmp_path: Path) -> None:
    with (
        upfile.locked(tmp_path),
        pytest.raises(AlreadyUp, match=f"process {os.getpid()}"),
        upfile.locked(tmp_path),
    ):
        pass


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"), upfile.locked(tmp_path / "file"):
        pass


def test_left_overs_are_ended_and_strangers_are_not(tmp_path: Path) -> None:
    """A process id may belong to somebody else by now, even to one of the same name."""
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)", "cmd/payments/main.py"]
    ours, stranger = subprocess.Popen(sleeper), subprocess.Popen(sleeper)
    try:
        left = made(payments=ours.pid, notifications=stranger.pid)
        left.services["notifications"].began = left.services["payments"].began + "0"
        upfile.write(tmp_path, left)
        assert upfile.end_orphans(tmp_path, within=5) == ["payments"]
        assert ours.wait(5) == -15
        assert stranger.poll() is None
        assert upfile.read(tmp_path) is None
    finally:
        for each in (ours, stranger):
            each.kill()
            each.wait()
