"""Ports on loopback: the one that was asked for, or the next free one and a word about it."""

from __future__ import annotations

import contextlib
import itertools
import random
import socket
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from time import monotonic
from typing import Final

from jetmesh.errors import UsageError

_TRIES: Final = 200
_LAST: Final = 65535
_FOR_PROGRAMS: Final = range(10_000, 32_768)
"""Below what systems give to outgoing connections: one of those would take a port that a program
has just ended on, or is about to listen on."""
_APART: Final = 8677
"""From one port that is handed out to the next: whoever gets one may take those above it, too."""
_turn = itertools.count(random.randrange(len(_FOR_PROGRAMS)), _APART)  # noqa: S311 - no secret
_LISTENS: Final = "0A"
_LOOK_SECONDS: Final = 0.1
"""Who listens where is asked no more often than that."""
_PROCESSES: Final = Path("/proc")
_LONGEST: Final = 80


class Ports:
    """Hands out ports, none twice."""

    def __init__(self) -> None:
        self.passed_over: list[str] = []
        """A sentence for each port that a stranger has, and who has to do without it."""
        self._given: set[int] = set()
        self._strangers: set[int] = set()

    def take(self, preferred: int, who: str) -> int:
        """`preferred`, or the next free one above it; 0 is any.

        Raises:
            UsageError: 200 in a row are taken.
        """
        preferred = preferred or free_port()
        taken = 0
        for port in range(preferred, min(preferred + _TRIES, _LAST + 1)):
            if port in self._given:
                continue
            if is_free(port):
                self._given.add(port)
                if taken and taken not in self._strangers:
                    self._strangers.add(taken)
                    self.passed_over.append(
                        f"port {taken} is taken{by(taken)}: {who} listens on {port} instead"
                    )
                return port
            taken = taken or port
        raise UsageError(
            f"No port from {preferred} on is free.",
            remedy="Stop some of the programs that use these ports.",
        )

    def take_fixed(self, port: int, who: str, setting: str) -> int:
        """Exactly `port`, which `setting` asks for.

        Raises:
            UsageError: somebody else has it.
        """
        if port in self._given or not is_free(port):
            raise UsageError(
                f"The port {port} of {who} ({setting}) is taken{by(port)}.",
                remedy=f"End that program, or change {setting}.",
            )
        self._given.add(port)
        return port


def free_port(host: str = "127.0.0.1") -> int:
    """A port nobody listens on just now, that no outgoing connection takes; another at each call.

    Raises:
        UsageError: 200 of them are taken.
    """
    for number in itertools.islice(_turn, _TRIES):
        port = _FOR_PROGRAMS[number % len(_FOR_PROGRAMS)]
        if is_free(port, host):
            return port
    raise UsageError(
        f"No port is free on {host}.", remedy="Stop some of the programs that use its ports."
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
    return _listening(round(monotonic() / _LOOK_SECONDS)).get(port, set())


@lru_cache(maxsize=1)
def _listening(_: int) -> dict[int, set[str]]:
    """The same of all ports, looked at once in a while: on a busy machine a look takes long."""
    found: defaultdict[int, set[str]] = defaultdict(set)
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (_PROCESSES / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENS:
                    port = int(fields[1].rpartition(":")[2], 16)
                    found[port].add(f"socket:[{fields[9]}]")
    return dict(found)


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on `port` of `host` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def by(port: int) -> str:
    """` by process 12 (python3 -m http.server)`; how to find out where that cannot be seen."""
    _listening.cache_clear()  # whoever has it may have come since
    inodes = _listeners(port)
    for process in _PROCESSES.glob("[0-9]*"):
        with contextlib.suppress(OSError):  # another user's, or it has ended
            if any(held in inodes for held in _held(int(process.name))):
                first, *words = (process / "cmdline").read_text(errors="replace").split("\0")
                said = " ".join((Path(first).name, *words)).strip()[:_LONGEST]
                return f" by process {process.name} ({said})"
    return f" (`lsof -i :{port}` says by whom)"
