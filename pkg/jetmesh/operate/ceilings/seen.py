"""What a broker holds already, for a plan: keys and bytes of each stream, and how many servers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from jetmesh.declare import Topology
from jetmesh.declare.topology import StreamSpec
from jetmesh.errors import BrokerError
from jetmesh.operate.asking.answers import Cluster, StreamInfo
from jetmesh.operate.ceilings.load import Load, StreamLoad
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.stored import if_exists

COPIES: Final = 3


@dataclass(frozen=True, slots=True)
class Seen:
    """Of the streams that are declared and there."""

    streams: Mapping[str, StreamInfo]
    servers: int
    """That are known to keep one; at least one."""


async def seen(control: ControlPlane, topology: Topology) -> Seen:
    """Ask about every declared stream.

    Raises:
        BrokerError: its figures cannot be read.
    """
    names = [spec.name for spec in topology.streams]
    asked = (if_exists(control.api(f"STREAM.INFO.{name}")) for name in names)
    answers = zip(names, await asyncio.gather(*asked), strict=True)
    try:
        found = {name: msgspec.convert(each, StreamInfo) for name, each in answers if each}
    except msgspec.ValidationError as error:
        raise BrokerError(
            f"The broker's figures cannot be read: {error}.",
            remedy="Plan without it: what it holds already is not counted then.",
        ) from error
    return Seen(found, servers(each.cluster for each in found.values()))


def as_there(topology: Topology, streams: Mapping[str, StreamInfo]) -> Topology:
    """The topology with the copies that its streams have."""
    kept = {name: info.config.num_replicas for name, info in streams.items()}
    return _copied(topology, lambda spec: kept.get(spec.name, spec.tuning.replicas))


def spread(topology: Topology, servers: int) -> Topology:
    """The topology with three copies where there are servers for it, as the chart has it."""
    most = COPIES if servers >= COPIES else 1
    return _copied(topology, lambda spec: max(spec.tuning.replicas, most))


def _copied(topology: Topology, copies: Callable[[StreamSpec], int]) -> Topology:
    streams = tuple(
        replace(spec, tuning=msgspec.structs.replace(spec.tuning, replicas=copies(spec)))
        for spec in topology.streams
    )
    return replace(topology, streams=streams)


def servers(clusters: Iterable[Cluster]) -> int:
    """How many servers keep something."""
    names = {name for each in clusters for name in (each.leader, *(r.name for r in each.replicas))}
    return max(1, len(names - {""}))


def on_top_of(there: Seen, load: Load) -> Load:
    """`load` on streams that hold something already."""
    streams = dict(load.streams)
    for name, info in there.streams.items():
        held = {"keys": info.state.num_subjects, "bytes": info.state.bytes}
        streams[name] = replace(streams.get(name, StreamLoad()), **held)
    return replace(load, streams=streams)
