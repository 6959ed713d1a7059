"""A supervised program counts as ready when it answers itself, not somebody else on its port."""

from __future__ import annotations

import asyncio
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from jetmesh.operate.up.child import Child, Program
from jetmesh.operate.up.ports import free_port
from jetmesh.testing import eventually

WAITING = "import time\ntime.sleep(60)\n"
ANSWERING = """
from http.server import HTTPServer, SimpleHTTPRequestHandler
HTTPServer(("127.0.0.1", {port}), SimpleHTTPRequestHandler).serve_forever()
"""


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base
        pass


def serve(port: int) -> ThreadingHTTPServer:
    return ThreadingHTTPServer(("127.0.0.1", port), Answer)


def child_of(folder: Path, port: int, code: str) -> Child:
    main = folder / "main.py"
    main.write_text(code)
    program = Program("tiny", (sys.executable, str(main)), {}, f"http://127.0.0.1:{port}", "/")
    return Child(program, folder, on_line=lambda *_: None, on_change=lambda: None)


async def test_the_answer_of_another_process_on_its_port_is_not_its_own(tmp_path: Path) -> None:
    port = free_port()
    with serve(port) as other:
        Thread(target=other.serve_forever, daemon=True).start()
        child = child_of(tmp_path, port, WAITING)
        running = asyncio.create_task(child.run())
        told = f"another process answers on port {port}"
        await eventually(lambda: child.problem == told, what="the reason")
        assert not child.ready_after
        child.kill()
        await running
        other.shutdown()


async def test_its_own_answer_makes_it_ready(tmp_path: Path) -> None:
    port = free_port()
    child = child_of(tmp_path, port, ANSWERING.format(port=port))
    running = asyncio.create_task(child.run())
    await eventually(lambda: not child.problem, within=20, what="a ready child")
    assert child.ready_after
    child.kill()
    await running
