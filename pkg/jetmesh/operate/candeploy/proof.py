"""Read what the broker holds with the code of this checkout, and change nothing."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from jetmesh.declare import Topology
from jetmesh.errors import BrokerError
from jetmesh.operate.candeploy.readings import Reading, readings
from jetmesh.operate.candeploy.report import Report, report_of
from jetmesh.operate.candeploy.rollout import rollout
from jetmesh.operate.evolution.released import Released
from jetmesh.settings import NatsSettings
from jetmesh.transport.bulk import BulkReader, Take
from jetmesh.transport.control import ControlPlane

OnBegin = Callable[[int], None]
"""Gets how many messages there are at most."""
OnRead = Callable[[int], None]
"""Gets how many more were read, now and then."""

_TELL_EVERY = 4096


async def prove(
    nats: NatsSettings,
    control: ControlPlane,
    topology: Topology,
    released: Released,
    *,
    accepted: int = 0,
    on_begin: OnBegin,
    on_read: OnRead,
) -> Report:
    """Decode every retained message that a declared reader will meet.

    Raises:
        BrokerError: the broker does not answer, refuses, or went away in the middle.
    """
    began = perf_counter()
    wanted = await readings(control, topology, released)
    on_begin(sum(each.span for each in wanted))
    try:
        async with BulkReader(nats, control, name="jetmesh-cli can-deploy") as bulk:
            for each in wanted:
                if each.span and (each.tallies or each.letters):
                    take = _telling(each, on_read)
                    await bulk.read(each.stream, take, first=each.first, last=each.last)
    except BrokerError as error:
        told = f"Whether it can be deployed is not known: {error.message}"
        raise BrokerError(told, remedy=f"{error.remedy} Run it again.".strip()) from error
    mixed = rollout(topology, released)
    return report_of(wanted, mixed, perf_counter() - began, accepted)


def _telling(reading: Reading, on_read: OnRead) -> Take:
    """`take` of a reading, telling how far it came."""
    take, told = reading.take, reading.first - 1

    def taken(sequence: int, subject: bytes, headers: bytes, payload: bytes) -> None:
        nonlocal told
        take(sequence, subject, headers, payload)
        if sequence - told >= _TELL_EVERY or sequence == reading.last:
            on_read(sequence - told)
            told = sequence

    return taken
