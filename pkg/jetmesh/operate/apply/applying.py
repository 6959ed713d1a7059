"""Making a broker as declared, once or for as long as it may take to come up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

import nats.errors

from jetmesh.declare import Topology
from jetmesh.errors import BrokerError, BrokerUnreachable, DriftError
from jetmesh.operate.apply.lanes_before import lanes_before, with_moves
from jetmesh.operate.apply.moving import free, move
from jetmesh.operate.audit import AuditRecord, recorded
from jetmesh.protocol.streams import AUDIT
from jetmesh.settings import NatsSettings
from jetmesh.transport import provision
from jetmesh.transport.beginnings import with_beginnings
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.provision import Plan
from jetmesh.transport.stored import NO_SUITABLE_PEERS, UNAVAILABLE, ApiError

_NAMED: Final = 12
"""So many changes are named in a record: it has to fit into any message."""
_AGAIN_SECONDS: Final = 0.5


async def plan(
    control: ControlPlane, topology: Topology, *, floors: Mapping[str, int] | None = None
) -> Plan:
    """Compare declaration and server, as `provision.plan` does, with what is to be moved.

    Raises:
        BrokerError: the server does not answer.
    """
    planned = await provision.plan(control, topology, floors=floors)
    return await with_moves(control, topology, planned)


async def carry_out(
    settings: NatsSettings,
    control: ControlPlane,
    topology: Topology,
    planned: Plan,
    *,
    allow_data_loss: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Make the server as declared, and move what lies where versions before had it.

    What is changed is recorded; `say` hears where that cannot be.

    Raises:
        DriftError: a change is refused; nothing was changed then.
        BrokerError: the server does not answer, or something cannot be moved yet.
    """
    provision.accept(planned, allow_data_loss=allow_data_loss)
    if not planned.changes:
        return
    for change in (each for each in planned.changes if each.name == AUDIT):
        await provision.make(control, change)  # first: the rest is recorded there
    left = Plan(tuple(each for each in planned.changes if each.name != AUDIT))
    async with recorded(control, _record(planned), say) as outcome:
        await _carry_out(settings, control, topology, left, allow_data_loss=allow_data_loss)
        outcome["changed"] = len(planned.changes)


def _record(planned: Plan) -> AuditRecord:
    names = [f"{each.action} {each.kind} {each.name}" for each in planned.changes]
    more = [f"{len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return AuditRecord(act="apply", what=(*names[:_NAMED], *more), count=len(names))


async def _carry_out(
    settings: NatsSettings,
    control: ControlPlane,
    topology: Topology,
    planned: Plan,
    *,
    allow_data_loss: bool,
) -> None:
    if planned.moves and (old := await lanes_before(control, topology)):
        await free(control, old)
    await provision.apply(control, planned, allow_data_loss=allow_data_loss)
    if planned.moves and (old := await lanes_before(control, topology)):
        await move(settings, control, old)


async def apply(
    settings: NatsSettings,
    topology: Topology,
    *,
    floors: Mapping[str, int] | None = None,
    allow_data_loss: bool = False,
    wait: float = 0.0,
    on_wait: Callable[[str], None] = lambda _: None,
    on_refused: Callable[[Plan], None] = lambda _: None,
) -> Plan:
    """Carry out the plan and return it; a broker that is away is asked again for `wait` seconds.

    `on_wait` hears what is waited for, `on_refused` the plan that is refused; `floors` as for
    `plan`.

    Raises:
        DriftError: a change is refused, at once; nothing was changed then.
        BrokerError: the server refuses us, at once, or is away for longer than `wait`.
    """
    until = time.monotonic() + wait
    planned, last = Plan(()), ""
    while True:
        try:
            async with await ControlPlane.connect(settings, name="jetmesh-cli") as control:
                await control.check_server()
                planned = await plan(control, topology, floors=floors)
                planned = await with_beginnings(control, topology, planned)
                await carry_out(
                    settings,
                    control,
                    topology,
                    planned,
                    allow_data_loss=allow_data_loss,
                    say=on_wait,
                )
                return planned
        except BrokerError as error:
            if isinstance(error, DriftError) and not passes(error):
                on_refused(planned)
            if not passes(error) or time.monotonic() >= until:
                raise
            if error.message != last:
                last = error.message
                on_wait(last)
        await asyncio.sleep(_AGAIN_SECONDS)


def passes(error: BrokerError) -> bool:
    """Whether it is the state of a broker that comes up or elects, so that time may mend it."""
    if isinstance(error, DriftError):  # the server's answer to one change, or a plan refused
        return isinstance(error.__cause__, ApiError) and passes(error.__cause__)
    if isinstance(error, ApiError):
        return error.code == UNAVAILABLE or error.err_code == NO_SUITABLE_PEERS
    gone = (nats.errors.Error, TimeoutError, OSError)
    return isinstance(error, BrokerUnreachable) or isinstance(error.__cause__, gone)
