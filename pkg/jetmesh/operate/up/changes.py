"""Files that change while one works, and which programs they concern."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jetmesh.errors import JetmeshError
from jetmesh.operate.up.imports import Imports

_QUIET_MS: Final = 50
"""So long nothing more is written before a change counts: editors write in steps."""
_LONGEST_MS: Final = 400
_NOT_OURS: Final = {"node_modules", "dist", "build", "__pycache__", "site-packages"}


@dataclass(frozen=True, slots=True)
class Change:
    """What was written at once."""

    what: str
    """A path, relative to the project."""
    concerned: frozenset[str]
    """The programs that import something of it."""
    listing: bool
    """The list of services may be another."""
    refused: tuple[str, ...]
    """What cannot be run, in a sentence each."""


class Changes:
    """`async for change in changes`, for as long as one listens."""

    def __init__(self, root: Path, system: str, *, settings: Path) -> None:
        self._root = root
        self._system = system
        self._settings = settings
        self._imports = Imports(_roots(root))
        self._targets: dict[str, str] = {}
        self._files: dict[str, set[Path]] = {}

    def follow(self, targets: Mapping[str, str]) -> None:
        """Look after programs, by name: what each runs is a file or a module."""
        self._targets |= targets
        for name in targets:
            self._look(name)

    async def __aiter__(self) -> AsyncIterator[Change]:
        """Every change that concerns somebody.

        Raises:
            JetmeshError: the kernel does not let us watch.
        """
        from watchfiles import awatch  # noqa: PLC0415 - only who reloads needs it

        try:
            while True:
                folders = list(_folders(self._root))
                async for found in awatch(
                    *folders, step=_QUIET_MS, debounce=_LONGEST_MS, recursive=False
                ):
                    paths = {path for _, name in found if _is_ours(path := Path(name))}
                    change = self.of(paths)
                    if change.concerned or change.listing or change.refused:
                        yield change
                    if any(path.is_dir() for path in paths):
                        break  # and look into that folder too
        except OSError as error:
            raise JetmeshError(
                f"The files below {self._root} cannot be watched: {error}.",
                remedy="Raise fs.inotify.max_user_watches, or do without --reload.",
            ) from error

    def of(self, paths: set[Path]) -> Change:
        """Whom it concerns that these files were written or removed."""
        broken = dict(filter(None, map(_broken, sorted(paths))))
        sound = {_module_of(path) for path in paths if path not in broken}
        before = {name: set(files) for name, files in self._files.items()}
        for name in self._targets:
            self._look(name)
        everyone = frozenset(self._targets) if self._settings in paths else frozenset[str]()
        files = {name: before[name] | self._files[name] for name in self._targets}
        concerned = everyone | {name for name, own in files.items() if own & sound}
        ours = set().union(*files.values(), self._system_files())
        what = next((path for path in sorted(paths) if _module_of(path) in ours), self._settings)
        return Change(
            what=os.path.relpath(what, self._root),
            concerned=concerned,
            listing=bool(sound & self._system_files()),
            refused=tuple(broken.values()),
        )

    def _look(self, name: str) -> None:
        try:
            self._files[name] = self._imports.files(self._targets[name])
        except (SyntaxError, OSError):  # it stays as it was until that is mended
            self._files.setdefault(name, set())

    def _system_files(self) -> set[Path]:
        try:
            return self._imports.files(self._system)
        except (SyntaxError, OSError):
            return set()


def _folders(root: Path) -> Iterator[Path]:
    """Every folder that may hold modules; where the broker writes is none of them."""
    for folder, names, _ in os.walk(root):
        names[:] = [name for name in names if _is_searched(Path(folder, name))]
        yield Path(folder)


def _is_ours(path: Path) -> bool:
    return not (path.name.startswith(".") or path.name in _NOT_OURS or path.name.endswith("~"))


def _is_searched(folder: Path) -> bool:
    return _is_ours(folder) and not (folder / "pyvenv.cfg").exists()


def _roots(root: Path) -> list[Path]:
    """Where modules of the project are found: its root, and what an editable installation adds."""
    entries = {Path(entry).resolve() for entry in sys.path if entry}
    inside = {
        entry
        for entry in entries
        if root in entry.parents
        and all(_is_ours(Path(part)) for part in entry.relative_to(root).parts)
    }
    return [*sorted(inside), root]


def _module_of(path: Path) -> Path:
    """The module that a file belongs to: for a template or a style sheet, its package."""
    if path.suffix == ".py":
        return path
    packages = (folder / "__init__.py" for folder in path.parents)
    return next((each for each in packages if each.is_file()), path) if path.exists() else path


def _broken(path: Path) -> tuple[Path, str] | None:
    """Why a file cannot be run."""
    if path.suffix == ".py" and path.exists():
        try:
            compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            at = f"{path}:{getattr(error, 'lineno', 0)}"
            return path, f"{at}: {error.args[0]}; what runs stays as it was"
        except OSError:  # it has gone meanwhile
            return None
    return None
