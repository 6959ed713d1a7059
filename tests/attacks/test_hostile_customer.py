"""A hostile customer: reaches the pages, and nothing else, and wants them or the process down.

The process may open few files, as under a low `ulimit -n`, so that little is enough to take all.
"""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from jetmesh.operate.up.broker import Broker
from jetmesh.operate.up.ports import free_port
from tests.waiting import wait_until

FILES = 256
PAGES = Path(__file__).parent / "pages.py"


def _few_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))


class Attacked:
    """A service with pages that may open few files, and connections to it that stay."""

    def __init__(self, broker: Broker, folder: Path, domain: str) -> None:
        self.port, self.health_port = free_port(), free_port()
        self.log = folder / "log"
        environ = {
            **{name: value for name, value in os.environ.items() if "NATS" not in name},
            "ATTACKED_DOMAIN": domain,
            "JETMESH_SETTINGS": os.devnull,
            "JETMESH__NATS__URL": broker.url,
            "JETMESH__HTTP__PORT": str(self.port),
            "JETMESH__HTTP__HEALTH_PORT": str(self.health_port),
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(PAGES)],
                env=environ,
                stderr=log,
                preexec_fn=_few_files,  # noqa: PLW1509 - no thread of this process holds a lock of it
            )
        self.held = ExitStack()

    def open(self, sent: bytes = b"") -> socket.socket:
        """One connection more, on which this much is sent."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        self.held.callback(connection.close)
        if sent:
            connection.sendall(sent)
        return connection

    def asked(self, path: str, *, port: int = 0, host: str = "") -> tuple[int, str]:
        """Status and text; 0 when there is no answer within ten seconds."""
        url = f"http://127.0.0.1:{port or self.port}{path}"
        try:
            answer = httpx.get(
                url, headers={"host": host} if host else {}, timeout=10, trust_env=False
            )
        except httpx.TransportError:
            return 0, ""
        return answer.status_code, answer.text

    def health(self, path: str = "/healthz") -> int:
        return self.asked(path, port=self.health_port)[0]


@pytest.fixture
def attacked(broker: Broker, tmp_path: Path, unique: str) -> Iterator[Attacked]:
    service = Attacked(broker, tmp_path, unique)
    try:
        wait_until(lambda: service.health("/readyz") == 200, what=service.log.read_text)
        yield service
    finally:
        service.held.close()
        service.process.kill()
        service.process.wait()


def test_half_open_requests_silence_neither_health_nor_pages(attacked: Attacked) -> None:
    """More of them than the process may open files."""
    for n in range(FILES + 80):
        attacked.open(b"GET / HTTP/1.1\r\nHost: 127" if n % 2 else b"")
        if n % 40 == 0:
            assert attacked.health() == 200
    assert attacked.health("/metrics") == 200
    assert attacked.health("/readyz") == 200
    assert attacked.asked("/")[0] == 200, "who asks takes the place of who does not"


def test_event_streams_leave_room_for_pages_and_health(attacked: Attacked) -> None:
    answers = []
    for _ in range(FILES // 3):
        stream = attacked.open(b"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        answers.append(stream.recv(12))
    assert answers[0] == b"HTTP/1.1 200"
    assert answers[-1] == b"HTTP/1.1 503", "there is no end of streams"
    assert attacked.asked("/")[0] == 200
    assert attacked.health() == 200


def test_a_stream_that_its_reader_left_makes_room_for_another(attacked: Attacked) -> None:
    asked = b"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    while attacked.open(asked).recv(12) == b"HTTP/1.1 200":
        pass
    attacked.held.close()

    def is_open() -> bool:
        with socket.create_connection(("127.0.0.1", attacked.port), timeout=20) as stream:
            stream.sendall(asked)
            return stream.recv(12) == b"HTTP/1.1 200"

    wait_until(is_open, what=lambda: "the streams that were left still count")


def test_a_request_that_trickles_in_is_given_up(attacked: Attacked) -> None:
    slow = attacked.open(
        b"POST /orders HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9000\r\n\r\n"
    )
    deadline = time.monotonic() + 60
    slow.settimeout(0.5)
    while time.monotonic() < deadline:
        try:
            slow.sendall(b"x")
            if slow.recv(100) == b"":
                break
        except TimeoutError:
            continue
        except OSError:
            break
    else:
        pytest.fail("it is waited for without end")
    assert attacked.asked("/")[0] == 200


def test_operators_answers_are_not_on_the_port_of_the_pages(attacked: Attacked) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        assert attacked.asked(path)[0] == 404
        assert attacked.health(path) == 200
    assert attacked.asked("/", port=attacked.health_port)[0] == 404


@pytest.mark.parametrize("host", ["evil.example.test", "127.0.0.1.evil.test", "[::2]:80"])
def test_a_name_that_points_here_without_leave_shows_nothing(attacked: Attacked, host: str) -> None:
    """As after DNS rebinding: a foreign page's script would read ours."""
    status, text = attacked.asked("/", host=host)
    assert status == 400
    assert "secret" not in text
    assert attacked.asked("/", host=f"localhost:{attacked.port}")[0] == 200


def test_every_answer_says_that_its_type_is_meant(attacked: Attacked) -> None:
    for url in (f"http://127.0.0.1:{attacked.port}/", f"http://127.0.0.1:{attacked.health_port}/x"):
        answer = httpx.get(url, timeout=10, trust_env=False)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
