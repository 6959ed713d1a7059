"""Ports on loopback: each the preferred one, or the next that nobody uses."""

from __future__ import annotations

import socket
from typing import Final

from jetmesh.errors import UsageError

_TRIES: Final = 200
_LAST: Final = 65535


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


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
