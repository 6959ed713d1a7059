"""Processes of `jetmesh up` that are forked are what executed ones would be (ADR-0040)."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from jetmesh.operate.project import LAUNCHER
from jetmesh.operate.up import forked
from jetmesh.operate.up.forked import ForkServer
from jetmesh.operate.up.spawned import Spawned, executed
from jetmesh.testing import eventually
from tests.integration.tiny_project import is_alive

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux")
ABOUT = """
import json, os, signal, sys, threading
from pathlib import Path
print(json.dumps({
    "argv": sys.argv, "path": sys.path, "name": __name__, "flags": str(sys.flags),
    "cwd": os.getcwd(), "environ": dict(os.environ), "parent": os.getppid(),
    "leads": os.getsid(0) == os.getpid() == os.getpgid(0), "pid": os.getpid(),
    "open": sorted(os.listdir("/proc/self/fd"), key=int)[:-1],
    "command": Path("/proc/self/cmdline").read_text().split("\\0"),
    "shown": sorted(filter(None, Path("/proc/self/environ").read_bytes().decode(
        errors="surrogateescape").split("\\0"))),
    "signals": [str(signal.getsignal(n)) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGPIPE)],
    "masked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "threads": threading.active_count(), "marker": getattr(sys, "marker", None),
    "warm": "jetmesh.runtime.forkserver" in sys.orig_argv,
    "input": sys.stdin.readline(),
}))
"""


class Started:
    """Makes processes of a program in a folder, forked ones and executed ones."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": _path(folder)}
        self.said: list[str] = []
        self.server = ForkServer(folder, self.environ, self.said.append)

    def command(self, code: str = ABOUT) -> list[str]:
        main = self.folder / "main.py"
        main.write_text(code)
        return [*LAUNCHER, "label", str(self.folder), str(main), "held"]

    async def forked(self, code: str = ABOUT, **environ: str) -> Spawned:
        return await self.server.spawn(self.command(code), self.environ | environ, self.folder)

    async def executed(self, **environ: str) -> Spawned:
        return await executed(self.command(), self.environ | environ, self.folder)

    async def about(self, **environ: str) -> dict[str, Any]:
        """What a forked process says of itself."""
        return about(*await ended(await self.forked(**environ)))


@pytest.fixture
async def started(tmp_path: Path) -> AsyncIterator[Started]:
    started = Started(tmp_path)
    yield started
    await started.server.end()


def _path(folder: Path) -> str:
    return os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])


async def ended(process: Spawned, say: str = "go\nand more\n") -> tuple[int, str]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(say.encode())
    process.stdin.close()
    said = await asyncio.wait_for(process.stdout.read(), 60)
    return await asyncio.wait_for(process.wait(), 60), said.decode()


def about(code: int, said: str) -> dict[str, Any]:
    assert code == 0, said
    found: dict[str, Any] = json.loads(said)
    return found


async def test_a_forked_process_cannot_tell_that_it_was_not_executed(started: Started) -> None:
    first = about(*await ended(await started.forked(OF_ITS_OWN="1\udcff")))
    other = about(*await ended(await started.executed(OF_ITS_OWN="1\udcff")))
    assert first.pop("warm")
    assert not other.pop("warm")
    assert first["environ"]["OF_ITS_OWN"]
    assert first.pop("pid") != other.pop("pid")
    for each in (first, other):
        each["command"] = " ".join(each["command"]).strip()
    assert first == other
    assert first["parent"] == os.getpid()
    assert not started.said


async def test_each_is_a_process_with_an_environment_of_its_own(started: Started) -> None:
    many = [await started.forked(NUMBER=str(number)) for number in range(5)]
    told = [about(*await ended(each)) for each in many]
    assert [each["environ"]["NUMBER"] for each in told] == ["0", "1", "2", "3", "4"]
    assert [each["pid"] for each in told] == [each.pid for each in many]
    assert len({each.pid for each in many}) == 5


@pytest.mark.parametrize(
    ("code", "ending", "said"),
    [
        ("raise SystemExit(3)", 3, ""),
        ("raise ValueError('not like this')", 1, "ValueError: not like this"),
        ("import os; os.kill(os.getpid(), 9)", -9, ""),
        ("import os; os.abort()", -6, ""),
        ("import atexit; atexit.register(print, 'at last')", 0, "at last"),
    ],
)
async def test_how_it_ends_is_told_as_of_any_process(
    started: Started, code: str, ending: int, said: str
) -> None:
    found, printed = await ended(await started.forked(code))
    assert found == ending
    assert said in printed


async def test_it_ends_when_it_is_told_to(started: Started) -> None:
    process = await started.forked("import time\nprint('here', flush=True)\ntime.sleep(600)")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"go\n")
    assert await asyncio.wait_for(process.stdout.readline(), 60) == b"here\n"
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 60) == -signal.SIGTERM
    process.terminate()  # whoever has its id now is not meant


async def test_who_is_not_told_to_go_ends_with_its_input(started: Started) -> None:
    process = await started.forked("print('never')")
    assert await ended(process, "") == (0, "")


async def test_code_that_was_changed_is_what_runs(started: Started) -> None:
    """Also that of the mesh itself, which is in memory."""
    loaded = started.folder / "sitecustomize.py"
    loaded.write_text("import sys\nsys.marker = 'before'\n")
    assert (await started.about())["marker"] == "before"
    loaded.write_text("import sys\nsys.marker = 'afterwards'\n")
    changed = await started.about()
    assert changed["marker"] == "afterwards"
    assert changed["warm"]
    assert not started.said


@pytest.mark.parametrize("variable", ["PYTHONHASHSEED", "LD_BIND_NOW", "TZ"])
async def test_who_differs_in_what_python_reads_when_it_begins_is_executed(
    started: Started, variable: str
) -> None:
    told = await started.about(**{variable: "1"})
    assert not told["warm"]
    assert told["environ"][variable] == "1"


async def test_a_server_that_is_killed_is_followed_by_another(started: Started) -> None:
    process = await started.forked()
    assert started.server._process is not None
    started.server._process.kill()
    await started.server._process.wait()
    assert is_alive(process.pid)
    assert about(*await ended(process))["warm"]
    assert (await started.about())["warm"]
    assert not started.said


async def test_where_nothing_can_be_forked_it_is_said_once_and_processes_are_executed(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = (sys.executable, "-c", "raise SystemExit('no memory')")
    monkeypatch.setattr(forked, "_SERVER", broken)
    for _ in range(2):
        assert not (await started.about())["warm"]
    (said,) = started.said
    assert "none can be forked: no memory" in said


async def test_elsewhere_than_on_linux_processes_are_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    started = Started(tmp_path)
    await started.server.begin()
    assert not (await started.about())["warm"]
    assert not started.said


async def test_orphans_of_others_are_left_alone(started: Started) -> None:
    """They would stay with us as zombies."""
    await started.about()
    code = "import os, time\nif os.fork():\n    os._exit(0)\nos.close(1)\nos.close(2)\n"
    await ended(await started.forked(code + "time.sleep(1)\n"))
    adopted = ctypes.c_int(-1)
    ctypes.CDLL(None).prctl(37, ctypes.byref(adopted), 0, 0, 0)
    assert adopted.value == 0


async def test_no_descriptor_stays_open(started: Started) -> None:
    await started.about()
    before = opened()
    for _ in range(3):
        await started.about()
    await eventually(lambda: opened() <= before)


def opened() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
