"""What a store made before 0.3 holds in `LANES`, the one stream of all lanes (ADR-0019)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from jetmesh.declare import Topology
from jetmesh.declare.permissions import covers
from jetmesh.operate.humanize import counted
from jetmesh.protocol.streams import LANES, lane_stream
from jetmesh.protocol.subjects import (
    QUARANTINE,
    RETRY,
    SUBJECTS,
    address_of,
    lane_subject,
    lanes_of,
)
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.provision import IN_LANES, Change, Plan
from jetmesh.transport.stored import if_exists

_NOTHING: Final = (f"{LANES}.moved",)
"""A stream takes at least one subject: on this one nobody publishes."""


class OldDurable(NamedTuple):
    """Who took what is due on one lane."""

    name: str
    service: str
    handler: str
    config: dict[str, Any]
    open: int
    """Messages that wait or are in somebody's hands."""


@dataclass(frozen=True, slots=True)
class LanesBefore:
    """`LANES`, as far as a topology is concerned."""

    config: dict[str, Any]
    services: tuple[str, ...]
    """Those of the topology that have lanes."""
    subjects: Mapping[str, int]
    """What is stored on theirs, with how much."""
    durables: tuple[OldDurable, ...]
    """Theirs."""
    others: tuple[str, ...]
    """Services that the topology does not know, whose lanes stay."""

    @property
    def left(self) -> tuple[str, ...]:
        """The subjects that the stream is to take."""
        return tuple(map(lanes_of, self.others)) or _NOTHING

    @property
    def is_done(self) -> bool:
        """Whether nothing is to be moved or given free, nor the stream deleted."""
        taken = self.config["subjects"]
        ours = (covers(each, lanes_of(name)) for each in taken for name in self.services)
        return bool(self.others) and not self.subjects and not any(ours)

    @property
    def without_durable(self) -> set[tuple[str, str]]:
        """Handlers for which something is due that nobody would take."""
        return set(self._due) - {(each.service, each.handler) for each in self.durables}

    @property
    def open(self) -> int:
        """How much is due and has no verdict yet."""
        untaken = sum(self._due[handler] for handler in self.without_durable)
        return untaken + sum(each.open for each in self.durables)

    @property
    def _due(self) -> Counter[tuple[str, str]]:
        """What is stored on each lane, with a verdict or without."""
        found: Counter[tuple[str, str]] = Counter()
        for subject, count in self.subjects.items():
            address = address_of(subject)
            if address and address.key_token:
                found[address.service, address.handler] += count
        return found

    def stored(self, suffix: str) -> int:
        """How much is stored on subjects with this suffix."""
        return sum(
            count
            for subject, count in self.subjects.items()
            if (address := address_of(subject)) and address.suffix == suffix
        )


async def lanes_before(control: ControlPlane, topology: Topology) -> LanesBefore | None:
    """What there is; None where the stream was never made, or is gone since it was moved.

    Raises:
        BrokerError: the server does not answer.
    """
    info = await if_exists(control.api(f"STREAM.INFO.{LANES}"))
    if info is None:
        return None
    services = tuple(service.name for service in topology.services if service.handlers)
    durables = [*_durables(await control.consumers(LANES))]
    subjects = await control.subjects(LANES, SUBJECTS[LANES])
    known = {each.service for each in durables} | set(filter(None, map(_service, subjects)))
    return LanesBefore(
        config=info["config"],
        services=services,
        subjects={each: count for each, count in subjects.items() if _service(each) in services},
        durables=tuple(each for each in durables if each.service in services),
        others=tuple(sorted(known - set(services))),
    )


async def with_moves(control: ControlPlane, topology: Topology, planned: Plan) -> Plan:
    """The plan, with what is to be moved out of `LANES` instead of a refusal.

    Raises:
        BrokerError: the server does not answer.
    """
    found = await lanes_before(control, topology)
    if found is None or found.is_done:
        return planned
    names = [lane_stream(name) for name in found.services]
    move = Change("move", "stream", LANES, note=_note(found))
    return Plan((move, *(_freed(change, names) for change in planned.changes)))


def _freed(change: Change, lane_streams: list[str]) -> Change:
    """What was refused only because the subjects are not free yet."""
    waits = change.name in lane_streams and change.reason == IN_LANES
    return replace(change, action="create", reason="") if waits else change


def _note(found: LanesBefore) -> str:
    parts = [
        (found.open, "due"),
        (found.stored(RETRY), "waiting for their time"),
        (found.stored(QUARANTINE), "marks of quarantine"),
    ]
    told = ", ".join(f"{count:,} {what}" for count, what in parts if count)
    to = counted(len(found.services), "lane stream")
    after = f"it keeps the lanes of {', '.join(found.others)}" if found.others else "it is deleted"
    return f"what it holds moves to {to} ({told or 'nothing is open'}), then {after}"


def _durables(infos: Iterable[dict[str, Any]]) -> Iterator[OldDurable]:
    for info in infos:
        config = info["config"]
        filters = config.get("filter_subjects") or [config.get("filter_subject", "")]
        address = address_of(filters[0])
        if config.get("durable_name") and address and filters == [_lane(address)]:
            waiting = info["num_pending"] + info["num_ack_pending"]
            name, service, handler = info["name"], address.service, address.handler
            yield OldDurable(name, service, handler, config, waiting)


def _lane(address: Any) -> str:
    return lane_subject(address.service, address.handler, "*")


def _service(subject: str) -> str:
    """Whose lane it is, also where nobody of ours wrote what is on it."""
    tokens = subject.split(".")
    return tokens[1] if len(tokens) > 1 else ""
