"""Forget a released version, once it is proven that nobody can meet it any more."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from jetmesh import wire
from jetmesh.declare import EventSpec, Topology, matches
from jetmesh.errors import ContractViolation, UsageError
from jetmesh.operate.asking.instances import running
from jetmesh.operate.deadlines.stored import is_alarm, to_come_in
from jetmesh.operate.evolution.released import DROPPED, Released, dropped
from jetmesh.operate.humanize import counted, listed
from jetmesh.protocol.content import event_json
from jetmesh.protocol.streams import DEADLETTERS, lane_stream
from jetmesh.protocol.subjects import address_of
from jetmesh.protocol.versions import WHICHEVER
from jetmesh.settings import NatsSettings
from jetmesh.transport.bulk import BulkReader
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.reader import UNREADABLE, Reader, reader_of
from jetmesh.transport.stored import if_exists


def droppable(topology: Topology, released: Released, subject: str, version: int) -> EventSpec:
    """The event, if the declaration lets go of the version.

    Raises:
        UsageError: there is no such event or release, or the code still reads the version.
    """
    spec = next((each for each in topology.events if each.subject == subject), None)
    if spec is None or (subject, version) not in released:
        raise UsageError(
            f"{subject} {version} was never released.",
            remedy="ls contracts/released shows what was.",
        )
    if spec.oldest <= version:
        raise UsageError(
            f"The code still reads version {version} of {subject}.",
            remedy=f"Write oldest={version + 1} at {spec.where} first, and remove its upcaster.",
        )
    return spec


async def held(
    nats: NatsSettings, control: ControlPlane, topology: Topology, spec: EventSpec, version: int
) -> list[str]:
    """Who may still hold a version or write it, each in a few words; empty when nobody can.

    Raises:
        BrokerError: the broker does not answer, refuses, or went away in the middle.
    """
    found: list[str] = []
    async with BulkReader(nats, control, name="jetmesh-cli contracts drop") as bulk:
        for stream in _streams(topology, spec):
            info = await if_exists(control.api(f"STREAM.INFO.{stream}"))
            state = info["state"] if info else {}
            if not state.get("messages"):
                continue
            count = _Count(topology, spec, version, stream)
            await bulk.read(stream, count.take, first=state["first_seq"], last=state["last_seq"])
            if count.holding:
                found.append(f"{stream} holds {counted(count.holding, 'message')} of it")
    return found + await _writers(nats, topology, spec)


def drop(directory: Path, subject: str, version: int) -> None:
    """Remove the releases of a version below `contracts/released`, and note that it was one."""
    folder = directory / subject
    gone = sorted({*dropped(folder), version})
    (folder / DROPPED).write_text(json.dumps(gone) + "\n", encoding="utf-8")
    for each in folder.iterdir():
        if each.is_dir() and each.name.partition(".")[0] == str(version):
            shutil.rmtree(each)


def _streams(topology: Topology, spec: EventSpec) -> Iterator[str]:
    """Where it, or what stands for it, may be stored."""
    yield spec.stream
    later = [each for each in topology.handlers if spec in each.deadlines.later]
    taking = [each for each in topology.handlers if each.input == spec]
    yield from sorted({lane_stream(each.service) for each in (*taking, *later)})
    yield from sorted({each.remembers.state.stream for each in later if each.remembers})
    yield DEADLETTERS


async def _writers(nats: NatsSettings, topology: Topology, spec: EventSpec) -> list[str]:
    """Processes of the service that makes the event, of other code than this."""
    owner = topology.owners.get(spec)
    if owner is None:
        return []
    declared = next(each.version for each in topology.services if each.name == owner)
    found = await running(nats, {owner})
    others = sorted({each.version for each in found if each.name == owner} - {declared})
    return [f"{owner} {listed(others)} runs, and this is {declared}"] if others else []


class _Count:
    """Counts the messages of one stream that only a version's readers can read."""

    def __init__(self, topology: Topology, spec: EventSpec, version: int, stream: str) -> None:
        self.holding = 0
        self._spec = spec
        self._version = version
        self._is_own = stream == spec.stream
        self._handlers = {(h.service, h.name) for h in topology.handlers if h.input == spec}
        self._reader: Reader = reader_of(spec)

    def take(self, _: int, subject: bytes, headers: bytes, payload: bytes) -> None:
        for each in to_come_in(subject, headers, payload):
            if each.event == self._spec.subject:
                self._count(each.headers, each.payload)
        if not is_alarm(headers) and self._is_of_it(subject.decode(errors="replace")):
            self._count(headers, payload)

    def _count(self, headers: bytes, payload: bytes) -> None:
        values = wire.parse(headers).values if headers else {}
        try:
            version = self._reader.version_of(values)
            if version == WHICHEVER:  # then the newest that decodes is meant
                self._reader.decode(event_json(payload, values))
        except ContractViolation:
            return  # of no version at all
        except UNREADABLE:
            self.holding += 1
        else:
            self.holding += version == self._version

    def _is_of_it(self, subject: str) -> bool:
        if self._is_own:
            return any(matches(each, subject) for each in self._spec.filters)
        address = address_of(subject)
        return address is not None and (address.service, address.handler) in self._handlers
