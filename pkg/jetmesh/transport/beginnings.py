"""Where a durable begins: with all that is stored, or with what will be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import structlog

from jetmesh.declare import DurableSpec, Topology
from jetmesh.errors import BrokerError
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.provision import Change, Plan
from jetmesh.transport.stored import if_exists, time_of

log = structlog.get_logger()


async def with_beginnings(control: ControlPlane, topology: Topology, planned: Plan) -> Plan:
    """The plan, with the number of stored events that each new handler gets, or is spared.

    They are counted by a consumer that ends at once. A durable that is made behind its ack floor
    goes on where it was, and a lane is filled by its handler alone.
    """
    durables = {each.path: each for each in topology.durables if not each.lane}
    changes: list[Change] = []
    for change in planned.changes:
        durable = durables.get(change.name)
        begins = (change.config or {}).get("deliver_policy")
        if durable is None or change.action != "create" or begins not in ("all", "new"):
            changes.append(change)
            continue
        changes.append(replace(change, note=await _note(control, durable)))
    return Plan(tuple(changes))


async def _note(control: ControlPlane, durable: DurableSpec) -> str:
    try:
        stored = await if_exists(control.count(durable.stream, durable.filters)) or 0
    except BrokerError:  # whoever may make a durable need not be allowed to count
        first = "next event" if durable.start == "new" else "first stored event"
        return f"begins with the {first}; how many are stored is not known"
    return _begins(durable, stored)


def log_first_starts(topology: Topology, known: Mapping[str, dict[str, Any]]) -> None:
    """Say of each durable that has delivered nothing yet where it begins, if that matters.

    `known` is what the server says of each, as in `Plan.known`.
    """
    for durable in topology.durables:
        if durable.lane:
            continue
        info = known.get(durable.path)
        if info is None or info["delivered"]["consumer_seq"]:
            continue
        if durable.start == "all" and not info["num_pending"]:
            continue  # there is nothing to wonder about
        if durable.start == "new":
            begins = f"with what is stored since {time_of(info['created']):%Y-%m-%d %H:%M:%S} UTC"
        else:
            begins = _begins(durable, info["num_pending"]).removeprefix("begins ")
        log.info("nothing delivered yet", durable=durable.name, begins=begins)


def _begins(durable: DurableSpec, stored: int) -> str:
    if not stored:
        return "begins with the next event, none is stored"
    events = "1 stored event" if stored == 1 else f"{stored:,} stored events"
    if durable.start == "new":
        return f"begins with the next event, not with the {events}"
    return f"begins with the first of {events}"
