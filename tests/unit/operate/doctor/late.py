"""What did not come in time."""

from __future__ import annotations

from jetmesh.operate.deadlines.waiting import Waiting
from jetmesh.operate.processes.standing import Standing
from tests.unit.operate.doctor.doctored import NOON

WAITING = Waiting(
    "desk",
    "desk.late",
    "k",
    "",
    NOON,
    overdue=True,
    handler="take",
    cause="DESK:1",
    kept="STATES_DESK:2",
)
STANDING = Standing(
    process="desk.orders",
    key="k",
    step="waiting",
    since=NOON,
    waits_for=("desk.paid",),
    until=None,
    remaining=("paid",),
    place="STATES_DESK_ORDERS:2",
    problem="no deadline leads on from here",
)
