"""What does not go on: a process, a key behind one that failed, a deadline."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from jetmesh.operate.doctor.facts import Facts, ParkedHandler
from jetmesh.operate.processes.standing import Standing
from tests.unit.operate.doctor.doctored import NOON, facts, too_late

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
LATE: Mapping[str, Callable[[], Facts]] = {
    "parked": lambda: facts({"parked": (ParkedHandler("desk.take", 2, {"ORDERS:7": 3}),)}),
    "parked-much": lambda: facts({"parked": (ParkedHandler("desk.take", 1, {"ORDERS:7": 1001}),)}),
    "overdue": too_late,
    "stuck-process": lambda: facts({"stuck": (STANDING,)}),
}
"""What does not go on, by the finding that says so."""
