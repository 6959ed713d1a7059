"""The network cut, for as long as handlers are rehearsed, and who tried to use it all the same.

Python tells an audit hook before a socket connects, a name is looked up or a program is started,
whichever library does it, on the loop and in threads. What a library in C does without Python it
does not tell.
"""

from __future__ import annotations

import errno
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

from jetmesh.privacy.mask import printable

_OWN: Final = str(Path(__file__).parents[2])
_OTHERS: Final = (
    _OWN,
    "<",
    *{sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")},
)
"""Where nothing of the rehearsed service is."""
_JOIN_SECONDS: Final = 0.5
_WHAT: Final = {
    "socket.connect": "connects to {1}",
    "socket.sendto": "sends to {1}",
    "socket.sendmsg": "sends to {1}",
    "socket.getaddrinfo": "looks up {0}:{1}",
    "socket.gethostbyname": "looks up {0}",
    "socket.gethostbyaddr": "looks up {0}",
    "subprocess.Popen": "starts {0}",
    "os.system": "starts {0}",
    "os.posix_spawn": "starts {0}",
    "os.exec": "starts {0}",
    "os.fork": "starts a process",
}
"""Of each event what it is, with the arguments that Python tells."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What was tried while the network was cut."""

    what: str
    """`connects to 127.0.0.1:8090`."""
    where: str
    """`shop/gateway.py:88`; empty where no line of the service led there directly."""


class NetworkCutError(OSError):
    """Raised where somebody would have reached outside; it looks like a network that is down."""

    def __init__(self) -> None:
        super().__init__(errno.ENETUNREACH, "the network is cut while a service is rehearsed")


class Cut:
    """Within `applied` nobody in this process reaches anything outside of it."""

    def __init__(self) -> None:
        self.unnamed: list[Attempt] = []
        """Of threads that a handler started by itself: for which message, nobody can tell."""
        self._current: ContextVar[list[Attempt] | None] = ContextVar("rehearsed", default=None)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Refuse everything that would leave this process until the block ends."""
        global _cut  # noqa: PLW0603 - an audit hook cannot be removed, so it asks what is in force
        if not _hooked:
            sys.addaudithook(_hook)
            _hooked.append(True)
        before, _cut = _cut, self
        try:
            yield
        finally:
            _cut = before

    @contextmanager
    def for_message(self, attempts: list[Attempt]) -> Iterator[None]:
        """Note what is tried in the block, and in all that it begins, in `attempts`."""
        token = self._current.set(attempts)
        try:
            yield
        finally:
            self._current.reset(token)

    def refuse(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Note an attempt, and raise NetworkCutError."""
        found = self._current.get()
        what = _WHAT[event].format(*map(_shown, arguments))
        (self.unnamed if found is None else found).append(Attempt(what, _where(sys._getframe(2))))  # noqa: SLF001 - the only way to that line
        raise NetworkCutError


@contextmanager
def sealed() -> Iterator[None]:
    """The network cut for a command, and for as long as a thread lives that it began.

    Where one outlives it, nothing of this process reaches anything any more.
    """
    before = set(threading.enumerate())
    with ExitStack() as stack:
        stack.enter_context(Cut().applied())
        try:
            yield
        finally:
            begun = set(threading.enumerate()) - before
            for thread in begun:
                thread.join(_JOIN_SECONDS)
            if any(thread.is_alive() for thread in begun):
                _kept.append(stack.pop_all())


class NamingExecutor(ThreadPoolExecutor):
    """The loop's threads, where it is still known for which message a call is made."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return super().submit(copy_context().run, fn, *args, **kwargs)


_cut: Cut | None = None
_hooked: list[bool] = []
_kept: list[ExitStack] = []
"""What is never left again."""


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _cut is not None and event in _WHAT:
        _cut.refuse(event, arguments)


def _where(frame: FrameType | None) -> str:
    """The innermost line of the service's own code."""
    while frame is not None and frame.f_code.co_filename.startswith(_OTHERS):
        frame = frame.f_back
    if frame is None:
        return ""
    path = Path(frame.f_code.co_filename)
    return printable(f"{path.parent.name}/{path.name}:{frame.f_lineno}")


def _shown(argument: object) -> str:
    """An address or a program, in a few words."""
    match argument:
        case (str(host), int(port), *_):
            return printable(f"{host}:{port}")
        case bytes():
            return printable(argument.decode(errors="replace"))
        case list() | tuple():
            return printable(" ".join(map(str, argument[:1])))
    return printable(str(argument))
