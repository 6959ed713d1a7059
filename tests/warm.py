"""`jetmesh` commands in processes of their own, forked from one that has imported what they need.

Hundreds of tests type a command, and to begin Python and import the mesh takes most of the time of
each. `python -P tests/warm.py`, with a socket as its standard input, does that once.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any

_LONGEST = 1 << 17
_starting = Lock()


def command(
    arguments: Sequence[str | Path],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdin: str = "",
    timeout: float = 60.0,
) -> subprocess.CompletedProcess[str]:
    """Run `jetmesh` with these arguments, as `subprocess.run` does.

    Raises:
        subprocess.TimeoutExpired: it has not ended in time, and was killed.
    """
    words = [str(each) for each in arguments]
    order = {"arguments": words, "directory": str(cwd), "environ": dict(env)}
    with ExitStack() as stack:
        given, out, errors = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(3))
        given.write(stdin.encode())
        given.seek(0)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            descriptors = [each.fileno() for each in (given, out, errors, theirs)]
            with _starting:
                socket.send_fds(_server(), [json.dumps(order).encode()], descriptors)
            theirs.close()
            code = _ended(ours, words, timeout)
        said = []
        for each in (out, errors):
            each.seek(0)
            said.append(each.read().decode())
        return subprocess.CompletedProcess(["jetmesh", *words], code, *said)


def _ended(told: socket.socket, words: Sequence[str], timeout: float) -> int:
    """Its exit code: its process id comes first, then that."""
    with told.makefile("r") as lines:
        told.settimeout(timeout)
        process = int(lines.readline())
        try:
            return int(lines.readline())
        except TimeoutError as error:
            os.kill(process, signal.SIGKILL)
            raise subprocess.TimeoutExpired(["jetmesh", *words], timeout) from error


@cache
def _server() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen([sys.executable, "-P", __file__], stdin=theirs.fileno())

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _serve() -> None:
    """Fork for each order until nobody can give any more."""
    import jetmesh  # noqa: PLC0415 - of this process alone

    for module in pkgutil.walk_packages(jetmesh.__path__, "jetmesh."):
        if not module.name.startswith("jetmesh.testing"):
            import_module(module.name)
    asked = socket.socket(fileno=os.dup(0))
    while True:
        order, descriptors, *_ = socket.recv_fds(asked, _LONGEST, 4)
        if not order:
            return None
        if not os.fork():
            asked.close()
            return _watch(json.loads(order), *descriptors)
        for each in descriptors:
            os.close(each)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _watch(order: dict[str, Any], given: int, out: int, errors: int, told: int) -> None:
    """Fork once more, and tell how that ends."""
    process = os.fork()
    if not process:
        os.close(told)
        return _become(order, given, out, errors)
    os.write(told, b"%d\n" % process)
    _, status = os.waitpid(process, 0)
    os.write(told, b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _become(order: dict[str, Any], given: int, out: int, errors: int) -> None:
    from jetmesh import cli  # noqa: PLC0415 - of this process alone

    for place, each in enumerate((given, out, errors)):
        os.dup2(each, place)
        os.close(each)
    os.environ.clear()
    os.environ.update(order["environ"])
    os.chdir(order["directory"])
    paths = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:0] = [each for each in paths if each not in sys.path]
    sys.argv = ["jetmesh", *order["arguments"]]
    cli.main()


if __name__ == "__main__":
    _serve()
