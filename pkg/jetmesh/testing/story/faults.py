"""What may go wrong at any moment: each takes one thing away, or brings one back."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final, TypeAlias

from jetmesh.testing.simulation import Connection, Durable, Stream
from jetmesh.testing.story.process import Process
from jetmesh.testing.story.world import World

Fault: TypeAlias = Callable[[World, Random], str]
"""Does it and says what it did; empty when there was nothing to do it to."""


def _crash(world: World, draw: Random) -> str:
    process = _process(world, draw)
    successor = world.replace(process)
    return f"kill {process.name}, start {successor.name}"


def _of_connection(what: str, fault: Callable[[Connection], bool]) -> Fault:
    """One thing that may happen to what is on its way to or from a process."""

    def happens(world: World, draw: Random) -> str:
        process = _process(world, draw)
        return f"{what} {process.name}" if fault(process.connection) else ""

    return happens


def _lose_delivery(world: World, draw: Random) -> str:
    inflows = _process(world, draw).connection.inflows
    lost = next((each for each in inflows if each.lose_delivery()), None)
    return f"lose a delivery: {lost.name}" if lost else ""


def _reconnect(world: World, draw: Random) -> str:
    process = _process(world, draw)
    with process.loop.current():
        process.connection.cut()
        process.connection.mend()
    return f"cut the connection of {process.name}, which connects again"


def _deliver_again(world: World, draw: Random) -> str:
    """A server that was killed has lost a verdict."""
    stream, durable = _durable(world, draw)
    pattern = draw.choice(durable.filters)
    settled = [k for k in stream.log.matching(pattern) if k.sequence not in durable.pending]
    if not settled:
        return ""
    durable.forget_verdict(sequence := draw.choice(settled).sequence)
    return f"deliver {stream.name}:{sequence} to {durable.name} again, as if for the first time"


def _ack_wait_is_over(world: World, draw: Random) -> str:
    stream, durable = _durable(world, draw)
    if not durable.pending:
        return ""
    durable.give_up_waiting()
    return f"let ack_wait be over for {stream.name}/{durable.name}"


def _make_again(world: World, draw: Random) -> str:
    stream, durable = _durable(world, draw)
    world.server.remove_durable(stream.name, durable.name)
    world.server.add_durable(stream.name, durable.config)
    return f"delete {stream.name}/{durable.name}, and make it again from the start"


ALL: Final[tuple[Fault, ...]] = (
    _crash,
    _crash,  # it is what happens most
    _of_connection("lose a verdict of", Connection.lose_verdict),
    _of_connection("lose a publish of", Connection.lose_publish),
    _of_connection("lose a PubAck for", Connection.lose_answer),
    _of_connection("delay a PubAck for", Connection.delay_answer),
    _lose_delivery,
    _reconnect,
    _deliver_again,
    _ack_wait_is_over,
    _make_again,
)


def _process(world: World, draw: Random) -> Process:
    return draw.choice(list(world.processes.values()))


def _durable(world: World, draw: Random) -> tuple[Stream, Durable]:
    """One that somebody acks."""
    spec = draw.choice(world.script.topology.durables)
    stream = world.server.stream(spec.stream)
    return stream, stream.durable(spec.name)
