"""A yard: what arrives is taken or turned away, and somebody is told of either."""

from __future__ import annotations

from msgspec import Struct

from jetmesh import Service, event
from jetmesh.declare import Topology, derive
from jetmesh.declare.topology import StreamTuning


@event("yard-in.arrived", key="van")
class Arrived(Struct, frozen=True):
    van: str


@event("yard.taken", key="van", decision="yard.*")
class Taken(Struct, frozen=True):
    van: str


@event("yard.turned-away", key="van", decision="yard.*")
class TurnedAway(Struct, frozen=True):
    van: str


@event("yard-out.told", key="van")
class Told(Struct, frozen=True):
    van: str


gate, bell = Service("gate"), Service("bell")


@gate.on(Arrived)
def decide(arrived: Arrived) -> Taken | TurnedAway:
    return Taken(arrived.van)


@bell.on(Taken)
async def welcome(taken: Taken) -> Told:
    return Told(taken.van)


@bell.on(TurnedAway)
async def apologise(away: TurnedAway) -> Told:
    return Told(away.van)


def yard(**tuning: StreamTuning) -> Topology:
    """The yard, with streams tuned by name."""
    return derive([gate, bell], streams=tuning)
