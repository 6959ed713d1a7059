"""Running `prepare` in a process of its own, and what is to be done while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import msgspec

from jetmesh.errors import JetmeshError
from jetmesh.operate.project import Project
from jetmesh.operate.up.access import Access
from jetmesh.operate.up.prepare import CONFIGURED, Prepared
from jetmesh.operate.up.spawned import leash_prefix

_END_SECONDS: Final = 2.0
_LONGEST_LINE: Final = 64 * 1024 * 1024
"""Of what `prepare` prints: it grows with the system."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """What `prepare` said, and what it still does."""

    prepared: Prepared
    pages: asyncio.Task[str]
    """It writes the contracts' pages: why they are not as declared; empty when they are."""


async def preparing(
    project: Project,
    access: Access,
    environ: Mapping[str, str],
    on_configured: Callable[[], None],
) -> Preparation:
    """Load and provision elsewhere, to keep this process small.

    `on_configured` is called once the broker's configuration is written: it starts the broker, or
    lets it read that again.

    Raises:
        JetmeshError: the system contradicts itself, or the broker cannot be as it declares.
    """
    process = await asyncio.create_subprocess_exec(
        *leash_prefix(),
        *(sys.executable, "-m", "jetmesh.operate.up.prepare", project.reference),
        msgspec.json.encode(access).decode(),
        cwd=project.root,
        env=environ,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        limit=_LONGEST_LINE,
    )
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    async with _ended_if_cut_short(process):
        if await process.stdout.readline() == CONFIGURED:
            on_configured()
        with contextlib.suppress(ConnectionError):  # it has failed, and says why
            process.stdin.write(b"go\n")
            await process.stdin.drain()
        printed = await process.stdout.readline()
        if not printed:
            _, problem = await process.communicate()
            raise JetmeshError(_last_words(problem))
        prepared = msgspec.json.decode(printed, type=Prepared)
    return Preparation(prepared, asyncio.create_task(_pages(process)))


async def _pages(process: asyncio.subprocess.Process) -> str:
    async with _ended_if_cut_short(process):
        said, problem = await process.communicate()
    return _last_words(problem) if process.returncode else said.decode(errors="replace")


@asynccontextmanager
async def _ended_if_cut_short(process: asyncio.subprocess.Process) -> AsyncIterator[None]:
    try:
        yield
    except BaseException:
        if process.returncode is None:
            process.kill()
            with contextlib.suppress(TimeoutError):  # its pipes are closed while there is a loop
                async with asyncio.timeout(_END_SECONDS):
                    await process.communicate()
        raise


def _last_words(problem: bytes) -> str:
    """What a process that failed said last: its sentences, or the end of a traceback."""
    text = problem.decode(errors="replace").strip()
    lines = text.splitlines() or ["The system cannot be prepared."]
    return lines[-1] if "Traceback (most recent call last)" in text else "\n".join(lines)
