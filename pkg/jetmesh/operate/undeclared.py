"""Events that a stream stores and nobody declares: a misspelt subject is in nobody's durable."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from jetmesh.declare import Topology
from jetmesh.errors import BrokerError
from jetmesh.operate.asking.answers import StreamInfo, StreamState
from jetmesh.transport.control import ControlPlane

_UNKEYED_TOKENS: Final = 2
_MOST_NAMED: Final = 10
"""Subjects of one stream: more of them have one cause."""


class Declared(Struct):
    """What a system declares, as far as a stored subject is compared with it."""

    streams: dict[str, str]
    """The domain of each stream of events."""
    subjects: dict[str, bool]
    """Whether the events of a subject carry a key, by subject."""
    listeners: dict[str, list[str]]
    """Who handles or folds something of a stream."""

    @classmethod
    def by(cls, topology: Topology) -> Declared:
        """What `topology` declares."""
        listeners: dict[str, set[str]] = {}
        for spec in topology.events:
            names = {name.partition(".")[0] for name in topology.readers(spec)}
            listeners.setdefault(spec.stream, set()).update(names)
        return cls(
            streams={spec.stream: spec.subject.partition(".")[0] for spec in topology.events},
            subjects={spec.subject: spec.key is not None for spec in topology.events},
            listeners={name: sorted(found) for name, found in listeners.items()},
        )

    def is_declared(self, subject: str) -> bool:
        """Whether events of ours are stored on `subject`."""
        return subject in self.subjects or self.subjects.get(subject.rpartition(".")[0], False)

    def nearest(self, subject: str) -> str:
        """The declared subject that was probably meant; empty when none is like it."""
        bare = subject.removesuffix(".*")
        close = difflib.get_close_matches(bare, self.subjects, n=1, cutoff=0.7)
        return close[0] if close else ""


@dataclass(frozen=True, slots=True)
class Undeclared:
    """One subject, or many that differ in their last part alone."""

    stream: str
    subject: str
    """`purchases.creatd`, or `purchases.creatd.*`."""
    messages: int
    nearest: str
    """The declared subject that was probably meant; empty when none is like it."""
    last: datetime | None = None
    """When the newest was stored; None when that was not asked, or may not be."""


async def undeclared(
    control: ControlPlane, declared: Declared, stream: str, *, most: int
) -> list[Undeclared]:
    """What `stream` stores that nobody declares, the most frequent first, without times.

    Subjects of two parts, as people type them, are always looked at. Those with a key only in a
    stream of at most `most` subjects: the server can only list them, all of them.

    Raises:
        BrokerError: the stream cannot be asked.
    """
    domain = declared.streams[stream]
    state = await _state(control, stream, f"{domain}.*")
    if len(state.subjects) < state.num_subjects <= most:
        state = await _state(control, stream, f"{domain}.>")
    return grouped(declared, stream, state.subjects)


async def with_time(control: ControlPlane, found: Undeclared) -> Undeclared:
    """The same with the time of its newest message, where we may look at that."""
    try:
        last = await control.last(found.stream, found.subject)
    except BrokerError:
        return found
    return replace(found, last=last.stored_at) if last else found


def grouped(declared: Declared, stream: str, subjects: Mapping[str, int]) -> list[Undeclared]:
    """Subjects that are not declared, those with the same beginning as one."""
    counts: dict[str, int] = {}
    for subject, count in subjects.items():
        if not declared.is_declared(subject):
            keyed = subject.count(".") >= _UNKEYED_TOKENS
            shape = f"{subject.rpartition('.')[0]}.*" if keyed else subject
            counts[shape] = counts.get(shape, 0) + count
    often = sorted(counts, key=lambda shape: (-counts[shape], shape))[:_MOST_NAMED]
    return [Undeclared(stream, each, counts[each], declared.nearest(each)) for each in often]


async def _state(control: ControlPlane, stream: str, pattern: str) -> StreamState:
    answer = await control.api(f"STREAM.INFO.{stream}", {"subjects_filter": pattern})
    return msgspec.convert(answer, StreamInfo).state
