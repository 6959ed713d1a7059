"""What was released: `contracts/released/<subject>/<version>/`, written once and never changed.

A compatible change of version 1 is released as 1.1, the next one as 1.2; what people count in
`@event(…, version=…)` is the number before the dot.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from jetmesh.errors import UsageError
from jetmesh.operate.evolution.descriptor import Contract
from jetmesh.operate.evolution.rebuild import rebuild
from jetmesh.privacy.mask import name_of, text_of
from jetmesh.protocol.content import UNDECODED

FOLDER: Final = "released"
DESCRIPTOR: Final = "descriptor.json"
SAMPLES: Final = "samples.json"
SCHEMA: Final = "schema.json"
SUMS: Final = "SHA256SUMS"
DROPPED: Final = "dropped.json"
_name: Final = re.compile(r"([1-9][0-9]*)(?:\.([1-9][0-9]*))?")


@dataclass(frozen=True, order=True)
class Name:
    """`1`, then `1.1`: a version of an event, and how often it was changed compatibly."""

    version: int
    revision: int = 0

    def __str__(self) -> str:
        return f"{self.version}.{self.revision}" if self.revision else str(self.version)


@dataclass(frozen=True)
class Release:
    """One released shape of an event."""

    name: Name
    contract: Contract
    samples: tuple[bytes, ...]
    """Payloads in JSON, as they may be stored."""
    schema: Mapping[str, Any]

    @property
    def subject(self) -> str:
        return self.contract.subject

    @property
    def version(self) -> int:
        return self.name.version

    @cached_property
    def type(self) -> type[Struct]:
        """A Struct, as every event is one, that reads as the released one did."""
        found: type[Struct] = rebuild(self.contract.type)
        return found

    @cached_property
    def _decode(self) -> Callable[[bytes], Struct]:
        return msgspec.json.Decoder(self.type).decode

    def refuses(self, payload: bytes) -> str:
        """Why code of this release cannot read a payload, in words that may quote it, or empty."""
        try:
            self._decode(payload)
        except UNDECODED as error:
            return text_of(error) or name_of(error)
        return ""

    def files(self, directory: Path) -> dict[Path, str]:
        """What it is on disk, below `contracts/released`."""
        folder = directory / self.subject / str(self.name)
        parts = {
            DESCRIPTOR: msgspec.to_builtins(self.contract),
            SAMPLES: [json.loads(each) for each in self.samples],
            SCHEMA: self.schema,
        }
        texts = {
            n: json.dumps(each, indent=2, ensure_ascii=False) + "\n" for n, each in parts.items()
        }
        sums = "".join(f"{_sum(texts[name])}  {name}\n" for name in sorted(texts))
        return {folder / name: text for name, text in {**texts, SUMS: sums}.items()}


class Released(Mapping[tuple[str, int], Release]):
    """Of each event and version the newest release; `every` has the older ones, too."""

    def __init__(self, releases: Iterator[Release] | list[Release]) -> None:
        self.every = sorted(releases, key=lambda each: (each.subject, each.name))
        self._newest = {(each.subject, each.version): each for each in self.every}

    @classmethod
    def of(cls, root: Path) -> Released:
        """What is released in the project at `root`; nothing where nothing was.

        Raises:
            UsageError: a file was edited, is missing or cannot be read, or a version is skipped.
        """
        return cls.below(root / "contracts" / FOLDER)

    @classmethod
    def below(cls, directory: Path) -> Released:
        """The same by its directory.

        Raises:
            UsageError: as for `of`.
        """
        subjects = sorted(each for each in directory.glob("*") if each.is_dir())
        return cls([release for subject in subjects for release in _releases(subject)])

    def of_event(self, subject: str) -> list[Release]:
        """All releases of one event, oldest first."""
        return [each for each in self.every if each.subject == subject]

    def __getitem__(self, key: tuple[str, int]) -> Release:
        return self._newest[key]

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return iter(self._newest)

    def __len__(self) -> int:
        return len(self._newest)


def dropped(subject: Path) -> list[int]:
    """The versions that were removed after it was proven that nothing holds them."""
    file = subject / DROPPED
    return sorted(map(int, _json(file))) if file.is_file() else []


def _releases(subject: Path) -> list[Release]:
    found = [_read(folder) for folder in sorted(subject.iterdir()) if folder.is_dir()]
    found.sort(key=lambda each: each.name)
    gone = dropped(subject)
    expected = Name(1)
    for release in found:
        while expected.version in gone:
            expected = Name(expected.version + 1)
        if release.name not in (expected, Name(expected.version + 1)) or (
            release.name.revision == 0 and release.version in gone
        ):
            raise UsageError(
                f"{subject} has {release.name}, but no {expected}.",
                remedy="Restore it from version control; "
                "`jetmesh contracts drop` forgets a version that nothing holds.",
            )
        expected = Name(release.version, release.name.revision + 1)
    return found


def _read(folder: Path) -> Release:
    match = _name.fullmatch(folder.name)
    if match is None:
        raise UsageError(
            f"{folder} is no version.", remedy="Remove it; versions are named 1, 1.1, 2."
        )
    _verify(folder)
    contract = _decoded(folder / DESCRIPTOR)
    if contract.subject != folder.parent.name:
        raise _edited(folder / DESCRIPTOR)
    samples = tuple(msgspec.json.encode(each) for each in _json(folder / SAMPLES))
    name = Name(int(match[1]), int(match[2] or 0))
    return Release(name, contract, samples, _json(folder / SCHEMA))


def _verify(folder: Path) -> None:
    """That each file is what was written."""
    lines = [line.partition("  ") for line in _text(folder / SUMS).splitlines()]
    said = {name: written for written, _, name in lines}
    for name in (DESCRIPTOR, SAMPLES, SCHEMA):
        if said.get(name) != _sum(_text(folder / name)):
            raise _edited(folder / name)


def _edited(path: Path) -> UsageError:
    return UsageError(
        f"{path} was changed after it was released.",
        remedy=f"Restore it: git checkout -- {path}. What changes is a new release: change the "
        "declaration, then `jetmesh contracts release`.",
    )


def _decoded(path: Path) -> Contract:
    try:
        return msgspec.json.decode(_text(path), type=Contract)
    except msgspec.DecodeError as error:
        raise UsageError(
            f"{path} cannot be read: {error}.", remedy="A newer jetmesh may have written it."
        ) from error


def _json(path: Path) -> Any:
    try:
        return msgspec.json.decode(_text(path))
    except msgspec.DecodeError as error:
        raise _edited(path) from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.",
            remedy="Restore it from version control.",
        ) from error


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
