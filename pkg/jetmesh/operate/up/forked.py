"""Processes forked from one that has the mesh in memory, instead of sixty that import it each.

Where that cannot be, they are executed: elsewhere than on Linux, where the kernel refuses, and
for a process whose environment says something that Python reads when it begins.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import socket
import sys
from asyncio import StreamReaderProtocol
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from io import FileIO
from pathlib import Path
from typing import Final, Self

from jetmesh.errors import JetmeshError
from jetmesh.operate.project import LAUNCHER
from jetmesh.operate.up.spawned import Spawned, executed, leash_prefix

_SERVER: Final = (sys.executable, "-P", "-m", "jetmesh.runtime.forkserver")
_STALE: Final = b"stale"
_ROOM: Final = " " * 1024
"""For the command line that `ps` shows of a process."""
_ROOM_OF_VARIABLES: Final = {"JETMESH_ROOM": " " * 16_384}
"""The same for its environment."""
_READ_AT_THE_BEGINNING: Final = (
    *("PYTHON", "LD_", "LC_", "LANG", "TZ", "MALLOC_", "GLIBC_"),  # by Python, by the C library
    *("PROMETHEUS_", "OPENSSL_"),  # by what is imported
)
_PR_SET_CHILD_SUBREAPER: Final = 36
_LAST_WORDS_SECONDS: Final = 1.0
_PATIENCE_SECONDS: Final = 60.0
"""It has to import the mesh before it answers."""


class ForkServer:
    """`spawn` as `executed` does, by forking a process that is warm.

    `environ` is that of all processes, `say` hears why they are executed instead.
    """

    def __init__(
        self, directory: Path, environ: Mapping[str, str], say: Callable[[str], None]
    ) -> None:
        self._directory = directory
        self._environ = environ
        self._say = say
        self._works = _can_adopt()
        self._process: asyncio.subprocess.Process | None = None
        self._asking: socket.socket | None = None
        self._one_by_one = asyncio.Lock()

    async def begin(self) -> None:
        """Start it, so that it is warm when the first process is asked for."""
        async with self._one_by_one:
            if self._works and self._asking is None:
                with contextlib.suppress(OSError):  # it is said when it is asked for something
                    await self._start()

    async def spawn(
        self, command: Sequence[str], environ: Mapping[str, str], directory: Path
    ) -> Spawned:
        """A process of this command.

        Raises:
            OSError: there can be no more of them.
        """
        forked = await self._forked(command, environ, directory)
        return forked or await executed(command, environ, directory)

    async def end(self) -> None:
        """Nothing more is asked for; who was forked runs on."""
        self._forget()
        if self._process is not None:
            await self._process.wait()

    async def _forked(
        self, command: Sequence[str], environ: Mapping[str, str], directory: Path
    ) -> Forked | None:
        if not self._can_be_forked(command, environ):
            return None
        async with self._one_by_one:
            for is_last in (
                False,
                True,
            ):  # one that is stale, or was killed, is followed by another
                if not self._works:
                    break
                try:
                    forked = await self._ask()
                except (JetmeshError, OSError, TimeoutError) as error:
                    self._forget()
                    if is_last:
                        self._give_up(str(error))
                    continue
                if forked is not None:
                    forked.order(command[len(LAUNCHER) :], environ, directory)
                    return forked
        return None

    def _can_be_forked(self, command: Sequence[str], environ: Mapping[str, str]) -> bool:
        return tuple(command[: len(LAUNCHER)]) == LAUNCHER and all(
            environ.get(name) == self._environ.get(name)
            for name in environ.keys() | self._environ.keys()
            if name.startswith(_READ_AT_THE_BEGINNING)
        )

    async def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                *(*leash_prefix(), *_SERVER, str(os.getpid()), str(theirs.fileno()), _ROOM),
                cwd=self._directory,
                env={**self._environ, **_ROOM_OF_VARIABLES},
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        self._asking = ours

    def _forget(self) -> None:
        if self._asking is not None:
            self._asking.close()
        self._asking = None
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()  # it holds nothing that anybody would miss

    def _give_up(self, reason: str) -> None:
        self._works = False
        self._say(f"each process imports the mesh by itself: none can be forked: {reason}")

    async def _ask(self) -> Forked | None:
        """A new process; None if what is in memory is not what is on disk any more.

        Raises:
            JetmeshError: it has ended.
            OSError: a system call is refused.
            TimeoutError: it does not answer.
        """
        if self._asking is None:
            await self._start()
        assert self._asking is not None  # noqa: S101 - it is started
        with ExitStack() as ours:
            with ExitStack() as theirs, _adopting():
                given, standard_input = _pipe(theirs, ours)
                standard_output, said = _pipe(ours, theirs)
                answered, born = _pipe(ours, theirs)
                socket.send_fds(
                    self._asking, [b"f"], [given.fileno(), said.fileno(), born.fileno()]
                )
                theirs.close()
                answer = await asyncio.wait_for(_all_of(answered), _PATIENCE_SECONDS)
            if answer == _STALE:
                self._forget()
                return None
            if not answer:
                raise JetmeshError(await self._last_words())
            ours.pop_all()
            return await Forked.adopted(int(answer), standard_input, standard_output)

    async def _last_words(self) -> str:
        process = self._process
        assert process is not None  # noqa: S101 - it is started
        try:
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                _, said = await process.communicate()
        except TimeoutError:  # it runs, and what it forked has ended
            return "the new process ended before it began"
        return said.decode(errors="replace").strip().rpartition("\n")[2] or "it says nothing"


class Forked:
    """A process that another one has forked for us; a `Spawned`."""

    def __init__(
        self, pid: int, stdin: asyncio.WriteTransport, stdout: asyncio.StreamReader
    ) -> None:
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout
        self.returncode: int | None = None
        self._ended = asyncio.Event()
        self._handle = os.pidfd_open(pid)  # it is our child: nobody else is given its id
        asyncio.get_running_loop().add_reader(self._handle, self._on_end)

    @classmethod
    async def adopted(cls, pid: int, standard_input: FileIO, standard_output: FileIO) -> Self:
        """The process of this id, which is a child of ours now."""
        loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: StreamReaderProtocol(reader), standard_output)
        writer, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, standard_input)
        return cls(pid, writer, reader)

    def order(self, arguments: Sequence[str], environ: Mapping[str, str], directory: Path) -> None:
        """What it is to become."""
        ordered = {"arguments": arguments, "environ": dict(environ), "directory": str(directory)}
        self.stdin.write(json.dumps(ordered).encode() + b"\n")

    async def wait(self) -> int:
        await self._ended.wait()
        assert self.returncode is not None  # noqa: S101 - it has ended
        return self.returncode

    def terminate(self) -> None:
        if self.returncode is None:
            signal.pidfd_send_signal(self._handle, signal.SIGTERM)

    def _on_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._handle)
        os.close(self._handle)
        _, status = os.waitpid(self.pid, 0)
        self.returncode = os.waitstatus_to_exitcode(status)
        self.stdin.close()
        self._ended.set()


def _can_adopt() -> bool:
    """Whether this kernel gives us what processes of ours have forked, and tells of its end."""
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
        with _adopting():
            return True
    except OSError:
        return False


@contextmanager
def _adopting() -> Iterator[None]:
    """Be given those whose parent ends; at other times they are none of our concern.

    Raises:
        OSError: the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no process may be adopted")
    try:
        yield
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _pipe(reading: ExitStack, writing: ExitStack) -> tuple[FileIO, FileIO]:
    """Both ends of a pipe, each closed by the stack of who has it."""
    ends = os.pipe()
    return reading.enter_context(FileIO(ends[0])), writing.enter_context(FileIO(ends[1], "w"))


async def _all_of(pipe: FileIO) -> bytes:
    """What is written until nobody can write any more."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: StreamReaderProtocol(reader), pipe
    )
    with contextlib.closing(transport):
        return await reader.read()
