"""What the sandboxes share: a listening port, a clean end, a journal that survives it."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import BaseRoute, Route

_LOOPBACK: Final = "127.0.0.1"  # sandboxes know no passwords: nobody else may reach them


def listen(variable: str, default: int, environ: Mapping[str, str] = os.environ) -> socket.socket:
    """A listening socket on the port that the variable names, on $JETMESH_SANDBOX_HOST.

    That is loopback unless said otherwise, as a pod does, which nobody reaches there.

    Raises:
        SystemExit: with one sentence, when the port is no number or taken, or the address is none
            of this machine.
    """
    host = environ.get("JETMESH_SANDBOX_HOST", "") or _LOOPBACK
    port = environ.get(variable, str(default))
    if not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004 - the largest port there is
        sys.exit(
            f"{variable} is {port!r}, which is not a port; set it to a number such as {default}."
        )
    # With its protocol named, or asyncio leaves Nagle's algorithm on: 40 ms for every answer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, int(port)))
        listener.listen(512)
    except OSError as error:
        remedy = f"Set {variable} to a free one"
        if error.errno != errno.EADDRINUSE:
            remedy += " and JETMESH_SANDBOX_HOST to an address of this machine"
        sys.exit(f"Port {port} on {host} cannot be opened: {error.strerror}. {remedy}.")
    return listener


def directory(default: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Where a sandbox keeps its journal: $JETMESH_SANDBOX_DIR, or the default.

    Raises:
        SystemExit: with one sentence, when it cannot be made.
    """
    path = Path(environ.get("JETMESH_SANDBOX_DIR", default))
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        sys.exit(f"{path} cannot be made: {error.strerror}. Set JETMESH_SANDBOX_DIR to another.")
    return path


async def serve(routes: list[BaseRoute], listener: socket.socket) -> None:
    """Answer HTTP on the listener until SIGTERM or SIGINT."""
    app = Starlette(routes=[*routes, Route("/healthz", lambda _request: PlainTextResponse("ok\n"))])
    server = _Server(
        uvicorn.Config(
            app,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
        )
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, setattr, server, "should_exit", True)
    await server.serve(sockets=[listener])


def page(title: str, body: str) -> HTMLResponse:
    """A small page; `body` must be escaped already. Whatever slips through cannot run."""
    html = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body><main><h1>{escape(title)}</h1>{body}</main></body></html>"
    )
    return HTMLResponse(
        html,
        headers={
            "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
            "x-content-type-options": "nosniff",
            "cache-control": "no-store",
        },
    )


class Journal:
    """Lines appended to a file; what `append` returned for is there after a crash."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._end = os.fstat(self._file).st_size
        if self._end and os.pread(self._file, 1, self._end - 1) != b"\n":
            self._write(b"\n")  # the line that a crash cut off must not spoil the next one

    def append(self, line: bytes) -> int:
        """Store one line, which holds no line break; return where it is, for `read`."""
        place = self._end
        self._write(line + b"\n")
        return place

    def read(self, place: int) -> bytes:
        """The line at `place`."""
        with os.fdopen(os.dup(self._file), "rb") as file:
            file.seek(place)
            return file.readline().rstrip(b"\n")

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Every line with its place."""
        with os.fdopen(os.dup(self._file), "rb") as file:
            place = file.seek(0)
            for line in file:
                yield place, line.rstrip(b"\n")
                place += len(line)

    def close(self) -> None:
        os.close(self._file)

    def _write(self, data: bytes) -> None:
        while data:
            written = os.write(self._file, data)
            self._end += written
            data = data[written:]


class _Server(uvicorn.Server):
    """uvicorn, but a signal ends it with exit code 0 instead of being raised again."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


_STYLE: Final = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0; padding: 2rem 1rem; }
main { max-width: 60rem; margin: auto; overflow-x: auto; }
h1 { font-size: 1.4rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid #8884; }
td { overflow-wrap: anywhere; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; padding: 1rem; border: 1px solid #8884; }
"""
