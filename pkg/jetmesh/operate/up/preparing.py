"""Running `prepare` in a process of its own, and what is to be done while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from jetmesh.errors import JetmeshError
from jetmesh.operate.up.access import Access
from jetmesh.operate.up.child import leash_prefix
from jetmesh.operate.up.prepare import CONFIGURED, Prepared

_END_SECONDS: Final = 2.0


async def preparing(
    root: Path,
    reference: str,
    access: Access,
    environ: Mapping[str, str],
    on_configured: Callable[[], None],
) -> Prepared:
    """Load and provision elsewhere, to keep this process small.

    `on_configured` is called once the broker's configuration is written: it starts the broker, or
    lets it read that again.

    Raises:
        JetmeshError: the system contradicts itself, or the broker cannot be as it declares.
    """
    process = await asyncio.create_subprocess_exec(
        *leash_prefix(),
        *(sys.executable, "-m", "jetmesh.operate.up.prepare", reference),
        msgspec.json.encode(access).decode(),
        cwd=root,
        env=environ,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    try:
        if await process.stdout.readline() == CONFIGURED:
            on_configured()
        printed, problem = await process.communicate(b"go\n")
    except BaseException:
        if process.returncode is None:
            process.kill()
            with contextlib.suppress(TimeoutError):  # its pipes are closed while there is a loop
                async with asyncio.timeout(_END_SECONDS):
                    await process.communicate()
        raise
    if process.returncode:
        raise JetmeshError(_last_words(problem))
    return msgspec.json.decode(printed, type=Prepared)


def _last_words(problem: bytes) -> str:
    """What a process that failed said last: its sentences, or the end of a traceback."""
    text = problem.decode(errors="replace").strip()
    lines = text.splitlines() or ["The system cannot be prepared."]
    return lines[-1] if "Traceback (most recent call last)" in text else "\n".join(lines)
