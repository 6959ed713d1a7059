"""What a running mesh tells other terminals: `.jetmesh/up.json`, and a lock while it lives.

The lock answers whether a mesh runs: the kernel drops it when the supervisor dies, however it
dies. Whoever is to be ended is named with its beginning, because a process id may have been given
to somebody else.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, field

from jetmesh.errors import JetmeshError, UsageError
from jetmesh.operate.up.access import Access
from jetmesh.operate.up.private import write_private
from jetmesh.operate.up.process import Process, began, identified

_DIRECTORY_MODE: Final = 0o700
_FILE_MODE: Final = 0o600
_LONGEST_LOCK: Final = 200
_PATIENCE_SECONDS: Final = 0.5
"""Somebody who only reads holds the lock for an instant."""


class AlreadyUp(JetmeshError):  # noqa: N818 - a state of the world
    """A mesh of this project runs already."""


class Running(Struct):
    """A process, and where it answers."""

    pid: int
    url: str = ""
    health: str = ""
    """Where /readyz is."""
    began: str = ""

    @classmethod
    def now(cls, pid: int, url: str, health: str = "") -> Running:
        """A child of ours: while we have not waited for it, nobody else gets its id."""
        return cls(pid, url, health, began(pid))


class Up(Struct):
    """The content of up.json."""

    nats_url: str
    pid: int
    broker: Running
    services: dict[str, Running] = field(default_factory=dict)
    sandboxes: dict[str, Running] = field(default_factory=dict)
    """And what shows the contracts."""
    variables: dict[str, str] = field(default_factory=dict)
    """Addresses that all services are told, the broker's too, by environment variable."""
    ready: bool = False
    """Every service was ready once."""
    everybody: bool = True
    """Whoever connects to the broker may do everything."""
    ca: str = ""
    """The authority to trust, of a broker on TLS."""

    @property
    def access(self) -> Access:
        """How its broker is reached."""
        return Access(self.nats_url, everybody=self.everybody, ca=self.ca)

    def processes(self) -> dict[Process, str]:
        """Every child, and how people call it."""
        everything = [*self.services.items(), *self.sandboxes.items(), ("nats-server", self.broker)]
        return {Process(each.pid, each.began): name for name, each in everything if each.pid}


def write(state: Path, up: Up) -> None:
    """Replace up.json at once: a reader sees the old one or the new one.

    Raises:
        OSError: the directory cannot be written.
    """
    write_private(
        _up(state), msgspec.json.format(msgspec.json.encode(up), indent=2).decode() + "\n"
    )


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


def supervisor(state: Path) -> Process | None:
    """The supervisor that holds the lock, as it says of itself; None when nobody holds it."""
    try:
        descriptor = os.open(_lock(state), os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _written(os.read(descriptor, _LONGEST_LOCK))
    else:
        return None
    finally:
        os.close(descriptor)


@contextmanager
def locked(state: Path) -> Iterator[None]:
    """Hold the lock of this project for the block; nobody else may read what is stored there.

    Raises:
        AlreadyUp: another process holds it.
        UsageError: the directory cannot be written, or belongs to somebody else.
    """
    try:
        state.mkdir(parents=True, exist_ok=True)
        state.chmod(_DIRECTORY_MODE)  # one that an older version made, too
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        descriptor = os.open(_lock(state), flags, _FILE_MODE)
        os.fchmod(descriptor, _FILE_MODE)
    except OSError as error:
        raise _unwritable(state, error) from error
    try:
        _take(descriptor, state)
        try:
            me = identified(os.getpid())
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{me.pid} {me.began}".encode(), 0)
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
    left = {each: name for each, name in up.processes().items() if each.runs()} if up else {}
    for number in (15, 9):
        for process in left:
            process.send(number)
        deadline = time.monotonic() + within
        while any(process.runs() for process in left) and time.monotonic() < deadline:
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
                holder = supervisor(state)
                raise AlreadyUp(
                    f"A mesh of this project runs already (process {holder.pid if holder else 0}).",
                    remedy="End it with `jetmesh down`.",
                ) from None
            time.sleep(0.02)
        else:
            return


def _written(text: bytes) -> Process:
    """What a lock says of its holder: `17 <beginning>`; process 0 where it says nothing."""
    pid, _, beginning = text.decode(errors="replace").partition(" ")
    return Process(int(pid), beginning) if pid.isdecimal() else Process(0)


def _up(state: Path) -> Path:
    return state / "up.json"


def _lock(state: Path) -> Path:
    return state / "up.lock"
