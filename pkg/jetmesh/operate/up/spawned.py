"""A process that `up` has made, and the plain way to make one: to execute its command."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from os import getpid
from pathlib import Path
from typing import Protocol, TypeAlias

from jetmesh.operate.up import leash


class Input(Protocol):
    """Where a process reads; it is written to without waiting."""

    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...


class Spawned(Protocol):
    """As much of `asyncio.subprocess.Process` as `up` needs."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""

    @property
    def stdin(self) -> Input | None: ...

    @property
    def stdout(self) -> asyncio.StreamReader | None:
        """Its standard error, too."""

    async def wait(self) -> int: ...

    def terminate(self) -> None: ...


Spawn: TypeAlias = Callable[[Sequence[str], Mapping[str, str], Path], Awaitable[Spawned]]
"""Makes a process of a command, an environment and a directory, in a session of its own."""


def leash_prefix() -> list[str]:
    """What becomes the command that follows it, ended by the kernel when this process dies."""
    return [sys.executable, "-I", "-S", str(Path(leash.__file__)), str(getpid())]


async def executed(command: Sequence[str], environ: Mapping[str, str], directory: Path) -> Spawned:
    """A process that imports all that it needs by itself.

    Raises:
        OSError: there can be no more of them.
    """
    return await asyncio.create_subprocess_exec(
        *(*leash_prefix(), *command),
        cwd=directory,
        env=environ,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C reaches it through us, once
    )
