"""What the doctor says of monitoring ports that do not answer as they should."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from jetmesh.operate.doctor.monitoring import server_statuses


@asynccontextmanager
async def answering(status: str) -> AsyncIterator[int]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("status", ["200 OK", "401 Unauthorized", "nonsense"])
async def test_the_user_of_a_monitoring_url_is_not_told(status: str) -> None:
    async with answering(status) as port:
        told = await server_statuses([f"http://svc:s3cret@127.0.0.1:{port}"])
    assert f"***@127.0.0.1:{port}" in repr(told)
    assert "s3cret" not in repr(told)
    assert "svc" not in repr(told)
