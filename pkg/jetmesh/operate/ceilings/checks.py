"""The ceilings, one function each: from what is declared, carried and there, to sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from jetmesh.declare import Topology
from jetmesh.declare.handler import Handler
from jetmesh.declare.policy import Policy
from jetmesh.declare.topology import StreamSpec
from jetmesh.operate.ceilings import figures
from jetmesh.operate.ceilings.ceiling import (
    NEAR,
    REACHED,
    Ceiling,
    Growth,
    State,
    at_once,
    in_time,
    per,
    state_of,
    total,
)
from jetmesh.operate.ceilings.figures import Figure
from jetmesh.operate.ceilings.load import DAY, Load, Place, StreamLoad
from jetmesh.operate.humanize import counted, size, span
from jetmesh.transport.provision import MAX_WAITING


def copies(spec: StreamSpec, place: Place) -> int:
    """How many servers keep a stream."""
    return max(1, min(spec.tuning.replicas, place.servers))


def assets(topology: Topology, _: Load, place: Place) -> Iterator[Ceiling]:
    """Streams and durables: a Raft group each, where there are copies."""
    kept = {spec.name: copies(spec, place) for spec in topology.streams}
    several = [kept[s.name] for s in topology.streams] + [kept[d.stream] for d in topology.durables]
    groups = sum(each for each in several if each > 1) / place.servers
    there = math.ceil(groups)
    about = (
        f"{counted(len(topology.streams), 'stream')}, {counted(len(topology.durables), 'durable')}"
    )
    if not there:
        yield Ceiling(
            "assets",
            "servers",
            "far",
            f"{about}, each kept once: idle they cost nothing, and 0.2 MiB each.",
            figures.MEASURED,
            "",
            f"Count again with --servers 3: with copies each costs {figures.ASSET_CORES:.3%} of a "
            "core on each server.",
        )
        return
    cores, memory = there * figures.ASSET_CORES, there * figures.ASSET_BYTES
    warned, most = figures.ASSETS_WARNED, figures.ASSETS
    state: State = "near" if there > NEAR * warned.value else "far"
    limit = most if there > warned.value else warned
    left = (most.value - there) / (groups / max(1, len(topology.handlers)))
    yield Ceiling(
        "assets",
        "servers",
        "passed" if there > most.value else state,
        f"{about}: {there:,} with copies on each of {place.servers} servers, which take "
        f"{cores:.0%} of a core and {size(memory)} there while nothing happens; "
        f"{limit.value:,.0f} are the limit.",
        limit.source,
        REACHED if left <= 0 else f"with about {left:,.0f} more such handlers",
        "More servers, and streams placed on them by tags; fewer handlers with a durable of their "
        "own; or a mesh of its own for what has little to do with the rest.",
    )


def rates(topology: Topology, load: Load, place: Place) -> Iterator[Ceiling]:
    """What one leader stores, and delivers."""
    for spec, carried in _carrying(topology, load):
        several = copies(spec, place) > 1
        stores = figures.STORES[several, place.syncs_always]
        synced = " with `sync_interval: always`" if place.syncs_always else ""
        who = f"its leader stores about {stores.value:,.0f}{synced}"
        yield at_once(
            "rate",
            spec.name,
            carried.rate,
            stores,
            f"{spec.name} gets {per(carried.rate)} {load.said}, and {who}.",
            _faster(several=several, synced=place.syncs_always),
        )
        names = {d.name for d in topology.durables if d.stream == spec.name}
        readers = [h for h in topology.handlers if h.input.stream == spec.name]
        sent = sum(load.handlers.get(h.title, 0.0) for h in readers)
        delivers = figures.DELIVERS[several]
        if state_of(sent, delivers.value) != "far":
            yield at_once(
                "deliveries",
                spec.name,
                sent,
                delivers,
                f"{spec.name} delivers {per(sent)} to {counted(len(names), 'durable')}, and about "
                f"{delivers.value:,.0f} are the most of one stream.",
                "Let fewer handlers read that stream, or let one publish what several need into a "
                "stream of its own.",
            )


def keys(topology: Topology, load: Load, place: Place) -> Iterator[Ceiling]:
    """Keys of one stream: how long it takes to start with them, and how many were tried."""
    for spec, carried in _carrying(topology, load):
        if not (carried.keys or carried.keys_rate):
            continue
        limit = figures.KEYS
        kept = Growth(carried.keys, carried.keys_rate, spec.tuning.max_age)
        after = kept.at(place.within)
        yield in_time(
            "keys",
            spec.name,
            [kept],
            limit,
            (load, place),
            f"{spec.name} gets {counted(round(carried.keys_rate * DAY), 'new key')} a day and "
            f"holds {after:,.0f} after {_ahead(place)}{_kept(spec)}: a server that was killed "
            f"needs about {span(after * figures.START_SECONDS)} to read them again, and "
            f"{limit.value:,.0f} are the most that were tried.",
            f"Set max_age in [streams.{spec.section}] to no more than its outcomes have to stand. "
            "Above 1,000,000 keys a server no longer writes its index now and then (nats-server "
            "#6561, read and not run).",
        )


def memory(topology: Topology, load: Load, place: Place) -> Iterator[Ceiling]:
    """Keys and message ids are in the memory of every server that keeps the stream."""
    parts = [Growth(figures.BASE_BYTES, 0.0)]
    for spec, carried in _carrying(topology, load):
        of_keys = figures.KEY_BYTES * copies(spec, place) / place.servers
        of_ids = figures.ID_BYTES * copies(spec, place) / place.servers
        max_age, window = spec.tuning.max_age, spec.tuning.duplicate_window
        parts += [
            Growth(of_keys * carried.keys, of_keys * carried.keys_rate, max_age),
            Growth(0.0, 0.0 if spec.history > 0 else of_ids * carried.rate, window),
        ]
    after = total(parts, place.within)
    if after <= figures.BASE_BYTES:
        return
    limit = Figure(place.memory, place.memory_from) if place.memory else Figure(math.inf)
    may = f"it may use {size(place.memory)}" if place.memory else "how much it has nobody says"
    yield in_time(
        "memory",
        "servers",
        parts,
        limit,
        (load, place),
        f"For keys, and for message ids as long as duplicate_window, each server needs about "
        f"{size(round(after))} of memory after {_ahead(place)}; {may}.",
        f"Give the servers {size(round(1.25 * after))}, or shorten max_age in [streams.NAME]: "
        f"{figures.KEY_BYTES} bytes a key, {figures.ID_BYTES} an id.",
    )


def room(topology: Topology, load: Load, place: Place) -> Iterator[Ceiling]:
    """Bytes a day, against what a stream may hold and what a disk has."""
    parts: list[Growth] = []
    for spec, carried in _carrying(topology, load):
        share, rate = copies(spec, place) / place.servers, carried.bytes_rate
        max_age = spec.tuning.max_age
        parts.append(Growth(share * carried.bytes, share * rate, max_age))
        if (most := spec.tuning.max_bytes) > 0:
            yield in_time(
                "max-bytes",
                spec.name,
                [Growth(carried.bytes, rate, max_age)],
                Figure(most, f"max_bytes in [streams.{spec.section}]"),
                (load, place),
                f"{spec.name} gets {size(round(rate * DAY))} a day{_kept(spec)} and may hold "
                f"{size(most)}: what is more it refuses.",
                f"Raise max_bytes in [streams.{spec.section}], or shorten its max_age.",
            )
    after = total(parts, place.within)
    if not (place.volume and after):
        return
    yield in_time(
        "volume",
        "servers",
        parts,
        Figure(place.volume, place.volume_from),
        (load, place),
        f"Each server keeps {size(round(after))} after {_ahead(place)}, of "
        f"{size(round(sum(each.rate for each in parts) * DAY))} that come in a day; its disk has "
        f"{size(place.volume)}.",
        f"Give it {size(round(1.25 * after))} from the beginning, for Kubernetes lets nobody "
        "change it later; or shorten max_age in [streams.NAME].",
    )


def pods(topology: Topology, load: Load, _: Place) -> Iterator[Ceiling]:
    """Processes of one durable: how many may ask, and how many get something."""
    for handler, policy, count in _at_work(topology, load):
        name, each = handler.title, figures.REQUESTS[handler.runs]
        yield at_once(
            "max-waiting",
            name,
            count * each,
            Figure(MAX_WAITING, "max_waiting of every durable, which nobody can change later"),
            f"{counted(count, 'pod')} of {handler.service} have up to {count * each:,} requests "
            f"open on {handler.durable}, of which the server keeps {MAX_WAITING:,}: others it "
            "forgets without a word.",
            f"Run at most {MAX_WAITING // each:,} pods, each with more concurrency.",
        )
        most, one = policy.max_ack_pending, _at_once(handler, policy)
        if handler.runs != "inline" and count * one > most:
            yield at_once(
                "max-ack-pending",
                name,
                count * one,
                Figure(most, f"max_ack_pending of {name}"),
                f"{counted(count, 'pod')} of {handler.service} could have {count * one:,} "
                f"deliveries in flight, and all together get {most:,}: {max(1, most // one):,} are "
                "kept busy.",
                f"Raise max_ack_pending of {name}, or lower its {_parallel(handler)}.",
            )


def in_flight(topology: Topology, load: Load, _: Place) -> Iterator[Ceiling]:
    """As many are in flight as come while one is handled."""
    for handler in topology.handlers:
        name = handler.title
        rate, latency = load.handlers.get(name, 0.0), load.latencies.get(name, 0.0)
        if not (rate and latency):
            continue
        policy, needed = topology.durable_of(handler).policy, rate * latency
        count = load.pods.get(handler.service, 1)
        parallel = count * _at_once(handler, policy)
        most = min(parallel, policy.max_ack_pending)
        by_all = most < parallel
        source = f"max_ack_pending of {name}" if by_all else f"{_parallel(handler)} of {name}"
        yield at_once(
            "in-flight",
            name,
            needed,
            Figure(most, source),
            f"{name} gets {per(rate)} and takes {latency * 1000:,.0f} ms for each: "
            f"{needed:,.0f} at once, and {counted(count, 'pod')} may work on {most:,}.",
            f"Raise max_ack_pending of {name} above {needed:,.0f}."
            if by_all
            else f"Run {math.ceil(needed / _at_once(handler, policy) / 0.8):,} pods of "
            f"{handler.service}, or raise {_parallel(handler)} of {name}.",
        )


CEILINGS: Final = (assets, rates, keys, memory, room, pods, in_flight)


def ceilings(topology: Topology, load: Load, place: Place) -> list[Ceiling]:
    """Every ceiling of this mesh on these servers, those that are passed first."""
    order = ("passed", "near", "far")
    found = [each for check in CEILINGS for each in check(topology, load, place)]
    return sorted(found, key=lambda each: order.index(each.state))


def _carrying(topology: Topology, load: Load) -> Iterator[tuple[StreamSpec, StreamLoad]]:
    for spec in topology.streams:
        if (carried := load.streams.get(spec.name)) is not None:
            yield spec, carried


def _at_work(topology: Topology, load: Load) -> Iterator[tuple[Handler, Policy, int]]:
    for handler in topology.handlers:
        if count := load.pods.get(handler.service, 0):
            yield handler, topology.durable_of(handler).policy, count


def _at_once(handler: Handler, policy: Policy) -> int:
    """Calls that one process runs at a time."""
    if handler.runs == "async":
        return policy.concurrency
    return handler.threads or 1


def _parallel(handler: Handler) -> str:
    return {"async": "concurrency", "threads": "threads", "inline": "the pods"}[handler.runs]


def _kept(spec: StreamSpec) -> str:
    return f" (max_age {spec.tuning.max_age})" if spec.tuning.max_age else ""


def _ahead(place: Place) -> str:
    days = place.within / DAY
    return "a year" if round(days) == 365 else span(place.within)  # noqa: PLR2004 - of a year


def _faster(*, several: bool, synced: bool) -> str:
    if synced and not several:
        return (
            "Run three servers: with copies they sync in groups, and store 4 to 30 times as many "
            "as one that syncs each message."
        )
    return (
        "Spread the events over domains, each is a stream with a leader of its own; give the "
        "servers free cores. One stream is never split (docs/scale.md)."
    )
