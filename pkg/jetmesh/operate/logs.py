"""Log lines of all services in the order of time: from the files of `jetmesh up`, or from pods."""

from __future__ import annotations

import os
import queue
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import sleep
from typing import Any, BinaryIO, Final, Protocol

import msgspec

from jetmesh.errors import JetmeshError, UsageError
from jetmesh.operate.up.logfiles import OLDER, SUFFIX
from jetmesh.protocol.content import UNDECODED

_LOOK_SECONDS: Final = 0.3
"""What comes in between is put in the order of time."""
_prefixed = re.compile(r"\[pod/(?P<pod>[^/\]]+)/(?P<container>[^\]]+)\] (?P<rest>.*)", re.DOTALL)
_nanoseconds = re.compile(r"(\.\d{6})\d+")
_fields = re.compile(r"(\w+)=('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\S+)")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of one process."""

    at: datetime
    """In UTC: when it was written, or else when it came."""
    service: str
    """Empty when nobody says whose it is."""
    text: str
    """As it was written."""
    fields: dict[str, Any] = field(default_factory=dict)
    """What it says by name; of a line that is no JSON, its `name=value` pairs."""
    is_json: bool = False

    def is_about(self, key: str) -> bool:
        """Whether it is about this key."""
        return self.fields.get("key") == key


class Source(Protocol):
    """Where lines come from."""

    def read(self) -> list[Line]:
        """What came since it was read last."""

    def close(self) -> None:
        """Read no more."""


def lines(source: Source, *, follow: bool) -> Iterator[list[Line]]:
    """What was written so far, sorted, then (with `follow`) what is written from now on."""
    try:
        while True:
            yield sorted(source.read(), key=lambda line: line.at)
            if not follow:
                return
            sleep(_LOOK_SECONDS)
    finally:
        source.close()


class Files:
    """The files that `jetmesh up` writes.

    Raises:
        UsageError: there are none.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._open: dict[str, BinaryIO] = {}
        if not any(directory.glob(f"*{SUFFIX}")):
            raise UsageError(
                f"There are no logs in {directory}.",
                remedy="Start `jetmesh up` here, or pass --pods for those of a cluster.",
            )

    def read(self) -> list[Line]:
        found: list[Line] = []
        for path in sorted(self._directory.glob(f"*{SUFFIX}")):
            name = path.name.removesuffix(SUFFIX)
            if name not in self._open:
                found += _of_file(name, self._older(name))
                self._open[name] = path.open("rb")
            found += _of_file(name, self._rest(name, path))
        return found

    def close(self) -> None:
        for file in self._open.values():
            file.close()

    def _older(self, name: str) -> bytes:
        path = self._directory / f"{name}{OLDER}"
        return path.read_bytes() if path.exists() else b""

    def _rest(self, name: str, path: Path) -> bytes:
        """What is new and whole; a file that was turned is read to its end, then the next one."""
        file = self._open[name]
        data = _whole(file)
        if os.fstat(file.fileno()).st_ino != path.stat().st_ino:
            file.close()
            self._open[name] = file = path.open("rb")
            data += _whole(file)
        return data


def _whole(file: BinaryIO) -> bytes:
    """The lines that are complete."""
    data = file.read()
    end = data.rfind(b"\n") + 1
    file.seek(end - len(data), 1)
    return data[:end]


def _of_file(name: str, data: bytes) -> list[Line]:
    return [line_of(name, text) for text in data.decode(errors="replace").splitlines()]


class Pods:
    """The logs of pods, through kubectl.

    Raises:
        UsageError: there is no kubectl.
    """

    def __init__(self, part_of: str, namespace: str, *, follow: bool) -> None:
        kubectl = shutil.which("kubectl")
        if kubectl is None:
            raise UsageError("There is no kubectl on PATH.", remedy="Install it: kubernetes.io.")
        command = [kubectl, "logs", f"--selector=app.kubernetes.io/part-of={part_of}"]
        command += ["--timestamps", "--prefix", "--tail=-1", "--max-log-requests=100"]
        command += [f"--namespace={namespace}"] if namespace else []
        self._follow = follow
        self._process = subprocess.Popen(  # noqa: S603 - kubectl, found on PATH
            [*command, "--follow"] if follow else command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._take, daemon=True)
        self._reader.start()

    def read(self) -> list[Line]:
        """What came since it was read last.

        Raises:
            JetmeshError: kubectl ended with an error.
        """
        if not self._follow:
            self._reader.join()
        found = []
        while not self._lines.empty():
            found.append(self._line(self._lines.get()))
        if not self._reader.is_alive() and self._process.wait() and not found:
            said = self._process.stderr.read().strip() if self._process.stderr else ""
            raise JetmeshError(f"kubectl: {said}", remedy="Check --namespace, and the context.")
        return found

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def _take(self) -> None:
        for text in self._process.stdout or ():
            self._lines.put(text.rstrip("\n"))

    @staticmethod
    def _line(text: str) -> Line:
        found = _prefixed.fullmatch(text)
        return line_of(found["container"], found["rest"]) if found else line_of("", text)


def line_of(service: str, text: str) -> Line:
    """Read `<time> <what a process wrote>`; what is no such line is one all the same."""
    start, _, rest = text.partition(" ")
    came = _time(start)
    if came is None:
        came, rest = datetime.fromtimestamp(0, UTC), text
    if rest.startswith("{"):
        try:
            fields = msgspec.json.decode(rest, type=dict[str, Any])
        except UNDECODED:
            return Line(came, service, rest)
        at = _time(str(fields.get("timestamp", ""))) or came
        return Line(at, str(fields.get("service", "")) or service, rest, fields, is_json=True)
    pairs = {name: value.strip("'\"") for name, value in _fields.findall(rest)}
    return Line(came, pairs.get("service") or service, rest, pairs)


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(_nanoseconds.sub(r"\1", text))
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def chosen(found: Sequence[Line], key: str, services: Sequence[str]) -> list[Line]:
    """Those about a key, and of some services; of all where none is named."""
    return [
        line
        for line in found
        if (not key or line.is_about(key)) and (not services or line.service in services)
    ]
