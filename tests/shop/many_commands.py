"""Run many `jetmesh` commands, each in a process of its own that has what all of them import.

`python -m tests.shop.many_commands` reads `{"commands": [["plan"], …], "input": "…"}` and prints a
list with what each command said.
"""

from __future__ import annotations

import json
import os
import pkgutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from importlib import import_module
from typing import IO, Final, NoReturn

import jetmesh.cli
from jetmesh.operate.project import find_project

_AT_A_TIME: Final = 6


def main() -> None:
    for module in pkgutil.walk_packages(jetmesh.cli.__path__, "jetmesh.cli."):
        import_module(module.name)
    find_project().load()
    ordered = json.load(sys.stdin)
    print(json.dumps(said(ordered["commands"], ordered["input"])))  # noqa: T201 - its answer


def said(commands: Sequence[Sequence[str]], given: str) -> list[str]:
    """What each command prints, whatever its exit code; some run at a time, as most wait."""
    with ExitStack() as stack:
        running: set[int] = set()
        written: list[IO[bytes]] = []
        for words in commands:
            read = stack.enter_context(tempfile.TemporaryFile())
            read.write(given.encode())
            read.seek(0)
            written.append(stack.enter_context(tempfile.TemporaryFile()))
            if len(running) >= _AT_A_TIME:
                running.remove(os.wait()[0])
            if not (child := os.fork()):
                _run(words, read.fileno(), written[-1].fileno())
            running.add(child)
        for child in running:
            os.waitpid(child, 0)
        return [_all_of(each) for each in written]


def _all_of(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _run(words: Sequence[str], read: int, written: int) -> NoReturn:
    for descriptor, place in ((read, 0), (written, 1), (written, 2)):
        os.dup2(descriptor, place)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - it ends with us
    sys.argv = ["jetmesh", *words]
    try:
        jetmesh.cli.main()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(0)


if __name__ == "__main__":
    main()
