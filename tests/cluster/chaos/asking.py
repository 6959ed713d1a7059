"""One GET without a client library: it is asked thousands of times beside the load."""

from __future__ import annotations

import asyncio
import contextlib

_MOST = 1 << 20


async def ask(host: str, port: int, path: str, *, within: float = 1.0) -> tuple[int, str]:
    """Status and body of the answer; (0, why) when there is none within so many seconds."""
    try:
        async with asyncio.timeout(within):
            reader, writer = await asyncio.open_connection(host, port, limit=_MOST)
            with contextlib.closing(writer):
                writer.write(f"GET {path} HTTP/1.0\r\nHost: {host}:{port}\r\n\r\n".encode())
                answer = await reader.read(-1)
    except (OSError, TimeoutError) as error:
        return 0, f"no answer ({type(error).__name__})"
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(maxsplit=2)
    if len(words) < 2 or not words[1].isdigit():
        return 0, "no answer (cut short)"
    return int(words[1]), body.decode(errors="replace").strip()
