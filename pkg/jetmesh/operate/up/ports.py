"""Ports on loopback: each the preferred one, or the next that nobody uses."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from jetmesh.errors import UsageError

_TRIES: Final = 200
_LAST: Final = 65535
_LISTENS: Final = "0A"
_PROCESSES: Final = Path("/proc")


class Ports:
    """Hands out ports, none twice."""

    def __init__(self) -> None:
        self._given: set[int] = set()

    def take(self, preferred: int) -> int:
        """`preferred`, or the next free one above it.

        Raises:
            UsageError: 200 in a row are taken.
        """
        for port in range(preferred, min(preferred + _TRIES, _LAST + 1)):
            if port not in self._given and is_free(port):
                self._given.add(port)
                return port
        raise UsageError(
            f"No port from {preferred} on is free.",
            remedy="Stop some of the programs that use these ports.",
        )


def listens(pid: int, port: int) -> bool:
    """Whether it is process `pid` that listens on `port`; believed where nobody can tell."""
    if not _PROCESSES.exists():
        return True
    sockets = _listeners(port)
    return any(held in sockets for held in _held(pid))


def _held(pid: int) -> Iterator[str]:
    """What the descriptors of a process are; those that it closes meanwhile are left out."""
    for number in (_PROCESSES / str(pid) / "fd").glob("*"):
        with contextlib.suppress(OSError):
            yield str(number.readlink())


def _listeners(port: int) -> set[str]:
    """`socket:[inode]` of every socket that listens on `port`."""
    found: set[str] = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (_PROCESSES / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                    found.add(f"socket:[{fields[9]}]")
    return found


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
