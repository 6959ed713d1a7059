"""Fork processes that have the mesh in memory already.

`python -P -m jetmesh.runtime.forkserver PID SOCKET ROOM`: process PID asks on SOCKET, with one byte
and three descriptors: standard input and output of the new process, and where its id is to be
written. The first line of its standard input is JSON: the arguments of `jetmesh.runtime.program`,
its environment and its directory. It becomes a child of PID, not of this process, which may end
whenever it likes. ROOM, and a variable of that name, are for what `ps` shows: a process writes its
own command line and environment over ours.

Nothing happens here but imports and forks: there is no event loop, no thread, no connection.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from jetmesh.runtime import program

_PR_SET_PDEATHSIG: Final = 1
_ARGUMENTS: Final = 45
"""Where /proc/self/stat has their beginning and end, then those of the environment; counted from
behind the name of the program."""
_LOOK_SECONDS: Final = 0.0005
STALE: Final = b"stale"
"""Instead of a process id: what is in memory is not what is on disk any more."""


def main() -> None:
    """Fork until nobody can ask any more; in each new process, run its program."""
    supervisor, asking = int(sys.argv[1]), socket.socket(fileno=int(sys.argv[2]))
    descriptors = _forked(asking)
    asking.close()
    _be_child_of(supervisor)
    _take(descriptors)
    ordered = json.loads(sys.stdin.readline() or "{}")
    if not ordered:
        sys.exit(0)  # who asked for us has ended
    os.environ.clear()
    os.environ.update(ordered["environ"])
    os.chdir(ordered["directory"])
    sys.argv = [program.__file__, *ordered["arguments"]]
    command = [sys.executable, "-P", "-m", program.__name__, *ordered["arguments"]]
    _show(command, ordered["environ"])
    program.main()


def _forked(asking: socket.socket) -> list[int]:
    """Fork for whoever asks; returns in each new process, with its descriptors.

    Twice: whose parent has ended is given to the supervisor, which waits for it.
    """
    read = _versions()
    gc.collect()
    gc.freeze()  # what is in memory now is never looked through again, and so its pages are shared
    while True:
        asked, descriptors, _, _ = socket.recv_fds(asking, 1, 3)
        if not asked:
            os._exit(0)
        if _versions() != read:
            os.write(descriptors[-1], STALE)
            os._exit(0)
        between = os.fork()
        if not between:
            _leave_a_child()
            return descriptors
        os.waitpid(between, 0)
        for each in descriptors:
            os.close(each)


def _leave_a_child() -> None:
    """Fork once more, and end; returns in the child, once it has another parent."""
    between = os.getpid()
    try:
        child = os.fork()
    except OSError:  # nobody writes an id, which is an answer, too
        os._exit(1)
    if child:
        os._exit(0)
    while os.getppid() == between:
        time.sleep(_LOOK_SECONDS)


def _versions() -> dict[str, int]:
    """When each file was written that is in memory."""
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    found = {}
    for file in filter(None, files):
        with contextlib.suppress(OSError):
            found[file] = os.stat(file).st_mtime_ns  # noqa: PTH116 - hundreds, at every fork
    return found


def _be_child_of(supervisor: int) -> None:
    """Be in a session of our own that ends with the supervisor."""
    os.setsid()  # Ctrl-C reaches us through it, once
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != supervisor:  # it died before we asked
        os._exit(1)


def _take(descriptors: Sequence[int]) -> None:
    """Have our own standard streams, and say who we are."""
    given, said, born = descriptors
    os.write(born, str(os.getpid()).encode())
    for descriptor, place in ((given, 0), (said, 1), (said, 2)):
        os.dup2(descriptor, place)
    for each in descriptors:
        os.close(each)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - a descriptor, and it stays open


def _show(command: Sequence[str], environ: Mapping[str, str]) -> None:
    """Let `ps` and /proc show these as if they had been executed; what does not fit is cut.

    The interpreter has copies of what stands there, and of the environment we have made our own.
    """
    with contextlib.suppress(OSError, ValueError):
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        begin, end, environ_begin, environ_end = map(int, fields[_ARGUMENTS : _ARGUMENTS + 4])
        _put(command, begin, end)
        _put([f"{name}={value}" for name, value in environ.items()], environ_begin, environ_end)


def _put(texts: Iterable[str], begin: int, end: int) -> None:
    text = b"".join(os.fsencode(each) + b"\0" for each in texts)[: end - begin - 1]
    ctypes.memmove(begin, text.ljust(end - begin, b"\0"), end - begin)


if __name__ == "__main__":
    main()
