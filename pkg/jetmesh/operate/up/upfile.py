"""What a running mesh tells other terminals: `.jetmesh/up.json`, and a lock while it lives.

The lock answers whether a mesh runs: the kernel drops it when the supervisor dies, however it
dies, while a process id may have been given to somebody else.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, field

from jetmesh.errors import JetmeshError, UsageError

_PROCESSES: Final = Path("/proc")
_PATIENCE_SECONDS: Final = 0.5
"""Somebody who only reads holds the lock for an instant."""


class AlreadyUp(JetmeshError):  # noqa: N818 - a state of the world
    """A mesh of this project runs already."""


class Running(Struct):
    """One process and where it answers."""

    pid: int
    url: str = ""
    health: str = ""
    """Where /readyz is."""


class BrokerAddress(Struct):
    """The broker's process and port."""

    pid: int
    port: int


class Up(Struct):
    """The content of up.json."""

    nats_url: str
    pid: int
    broker: BrokerAddress
    services: dict[str, Running] = field(default_factory=dict)
    sandboxes: dict[str, Running] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    """Addresses that all services are told, the broker's too, by environment variable."""
    ready: bool = False
    """Every service was ready once."""

    def pids(self) -> dict[int, str]:
        """Every child and a word that its command line holds."""
        found = {each.pid: name for name, each in (self.services | self.sandboxes).items()}
        found[self.broker.pid] = "nats-server"
        found.pop(0, None)
        return found


def write(state: Path, up: Up) -> None:
    """Replace up.json at once: a reader sees the old one or the new one.

    Raises:
        OSError: the directory cannot be written.
    """
    handle, name = tempfile.mkstemp(dir=state, prefix="up-")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(up), indent=2) + b"\n")
        temporary.replace(_up(state))
    finally:
        temporary.unlink(missing_ok=True)


def read(state: Path) -> Up | None:
    """What was written last, whether or not it still runs; None when nothing or nonsense."""
    try:
        return msgspec.json.decode(_up(state).read_bytes(), type=Up)
    except (OSError, msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def forget(state: Path) -> None:
    """Remove up.json."""
    _up(state).unlink(missing_ok=True)


def running(state: Path) -> Up | None:
    """The mesh that runs now, None when none does or when it has only just begun."""
    return read(state) if supervisor(state) else None


def supervisor(state: Path) -> int:
    """The process id of the supervisor that holds the lock, 0 when nobody does."""
    try:
        descriptor = os.open(_lock(state), os.O_RDONLY)
    except OSError:
        return 0
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(os.read(descriptor, 20) or 0)
    else:
        return 0
    finally:
        os.close(descriptor)


@contextmanager
def locked(state: Path) -> Iterator[None]:
    """Hold the lock of this project for the block.

    Raises:
        AlreadyUp: another process holds it.
        UsageError: the directory cannot be written.
    """
    try:
        state.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(_lock(state), os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise _unwritable(state, error) from error
    try:
        _take(descriptor, state)
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        except OSError as error:
            raise _unwritable(state, error) from error
        yield
    finally:
        os.close(descriptor)


def end_orphans(state: Path, *, within: float = 5.0) -> list[str]:
    """End what a supervisor that was killed left behind, and say what that was.

    Only with the lock held: nobody else is responsible for these processes any more.
    """
    up = read(state)
    left = {pid: word for pid, word in up.pids().items() if _is(pid, word)} if up else {}
    for number in (15, 9):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + within
        while any(_is(pid, word) for pid, word in left.items()) and time.monotonic() < deadline:
            time.sleep(0.05)
    forget(state)
    return list(left.values())


def _unwritable(state: Path, error: OSError) -> UsageError:
    return UsageError(
        f"The directory {state} cannot be written: {error.strerror}.",
        remedy="Make room or change its permissions, or run from a project of your own.",
    )


def _take(descriptor: int, state: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                pid = supervisor(state)
                raise AlreadyUp(
                    f"A mesh of this project runs already (process {pid}).",
                    remedy="End it with `jetmesh down`.",
                ) from None
            time.sleep(0.02)
        else:
            return


def _is(pid: int, word: str) -> bool:
    """Whether `pid` runs a command with `word` in it, so is no stranger with a reused id."""
    if _PROCESSES.exists():
        try:
            return word in (_PROCESSES / str(pid) / "cmdline").read_text(errors="replace")
        except OSError:
            return False
    command = ["ps", "-o", "args=", "-p", str(pid)]
    listing = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
    return word in listing.stdout


def _up(state: Path) -> Path:
    return state / "up.json"


def _lock(state: Path) -> Path:
    return state / "up.lock"
