"""With the network cut, a handler that reaches outside is found, however it does and hides it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from jetmesh import Service, Unavailable
from jetmesh.runtime.rehearsing import cut as cut_module
from jetmesh.runtime.rehearsing.cut import Cut, NetworkCutError
from tests.unit.runtime.rehearsing.shelf import Asked, Found, known, rehearsed


@pytest.fixture
def port() -> Iterator[int]:
    """A listener, which would take whoever connects."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server.getsockname()[1]
        with pytest.raises(BlockingIOError):
            server.accept()


async def found(function: Callable[..., Any], keys: Sequence[str] = ("b-1",), **on: Any) -> str:
    """What is said of the handler and of its message, which leads to what is stored."""
    report = await rehearsed(function, known(Asked("b-1"), Found("b-1")), **on)
    (group,) = report.groups
    assert (group.verdict, group.kind) == ("network", f"network:shelf-service.{function.__name__}")
    assert [example.key for example in group.examples] == [*keys]
    assert report.refused
    return group.about


async def test_a_def_handler_that_connects_is_named_with_its_line(port: int) -> None:
    def hidden(asked: Asked) -> Found:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port))
        return Found(asked.id)

    line = hidden.__code__.co_firstlineno + 2
    assert await found(hidden) == (
        f"`shelf-service.hidden` looks up 127.0.0.1:{port} at rehearsing/test_cut.py:{line}"
    )


async def test_a_handler_in_threads_is_named(port: int) -> None:
    def threaded(asked: Asked) -> Found:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/")
        return Found(asked.id)

    assert f"looks up 127.0.0.1:{port}" in await found(threaded, threads=2)


async def test_an_async_handler_is_named_though_it_says_that_something_is_away(port: int) -> None:
    async def streams(asked: Asked) -> Found:
        try:
            await asyncio.open_connection("127.0.0.1", port)
        except OSError as error:
            raise Unavailable("away") from error
        return Found(asked.id)

    assert f"connects to 127.0.0.1:{port}" in await found(streams)


async def test_a_name_that_is_looked_up_in_the_loop_s_threads_is_found() -> None:
    async def by_name(asked: Asked) -> Found:
        with contextlib.suppress(OSError):
            await asyncio.open_connection("gateway.example.test", 443)
        return Found(asked.id)

    assert "looks up gateway.example.test:443" in await found(by_name)


async def test_a_call_in_a_thread_of_the_loop_is_found(port: int) -> None:
    async def sends(asked: Asked) -> Found:
        def send() -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                udp.sendto(b"metric", ("127.0.0.1", port))

        with contextlib.suppress(OSError):
            await asyncio.to_thread(send)
        return Found(asked.id)

    assert f"sends to 127.0.0.1:{port}" in await found(sends)


async def test_what_a_handler_leaves_running_is_found(port: int) -> None:
    tasks: list[asyncio.Task[Any]] = []

    async def later(asked: Asked) -> Found:
        async def work() -> None:
            await asyncio.sleep(0.01)
            with contextlib.suppress(OSError):
                await asyncio.open_connection("127.0.0.1", port)

        tasks.append(asyncio.create_task(work()))
        return Found(asked.id)

    assert f"connects to 127.0.0.1:{port}" in await found(later)


async def test_a_thread_of_its_own_is_found_and_its_handler_named(port: int) -> None:
    def starts(asked: Asked) -> Found:
        def connect() -> None:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port))

        thread = threading.Thread(target=connect)
        thread.start()
        thread.join()
        return Found(asked.id)

    assert f"looks up 127.0.0.1:{port}" in await found(starts, keys=())


async def test_a_program_that_is_started_is_found() -> None:
    def starts(asked: Asked) -> Found:
        with contextlib.suppress(OSError):
            subprocess.run([sys.executable, "-c", ""], check=True)
        return Found(asked.id)

    assert f"starts {sys.executable}" in await found(starts)


async def test_afterwards_the_network_is_there_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        cut = Cut()
        with cut.applied(), pytest.raises(NetworkCutError, match="the network is cut"):
            socket.create_connection(address)
        socket.create_connection(address).close()
    assert len(cut.unnamed) == 1


async def test_what_runs_around_a_handler_is_found_too(port: int) -> None:
    def sending(call: Any, _event: Any, _delivery: Any) -> Any:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port))
        return call()

    service = Service("shelf-service", wrap=[sending])

    @service.on(Asked)
    def wrapped(asked: Asked) -> Found:
        return Found(asked.id)

    report = await rehearsed(service, known(Asked("b-1"), Found("b-1")))
    (group,) = report.groups
    assert group.kind == "network:shelf-service.wrapped"


def test_a_command_is_cut_until_the_last_thread_that_it_began_has_ended(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cut_module, "_cut", None)  # put back afterwards
    monkeypatch.setattr(cut_module, "_JOIN_SECONDS", 0.05)
    go, refused = threading.Event(), list[OSError]()

    def late() -> None:
        go.wait(30)
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError as error:
            refused.append(error)

    thread = threading.Thread(target=late)
    with cut_module.sealed():
        thread.start()
    go.set()
    thread.join(30)
    assert [type(error) for error in refused] == [NetworkCutError]


def test_a_command_whose_threads_have_ended_is_cut_no_longer() -> None:
    with cut_module.sealed():
        thread = threading.Thread(target=lambda: None)
        thread.start()
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
