"""Each fault of `make chaos` once, for as long as it needs to show, at 120 purchases a second.

The tests share one cluster, one after another: what a fault leaves behind meets the next one.
"""

from __future__ import annotations

from random import Random

import pytest

from tests.cluster.chaos.episodes import live_through
from tests.cluster.chaos.faults import FAULTS, Fault, together
from tests.cluster.chaos.scene import Scene
from tests.programs import missing

pytestmark = pytest.mark.timeout(480)  # what a fault leaves may take minutes to come to its end
on_one_loop = pytest.mark.asyncio(loop_scope="module")

ALONE = (
    "leader-killed",
    "leader-frozen",
    "leader-isolated",
    "all-killed",
    "disk-full",
    "disks-full",
    "rolling-lame-duck",
    "rolling-restart",
    "services-killed",
    "services-replaced",
)
PAIRS = (("poison", "mail-down"), ("garbage", "gateway-down"))
"""Each of a pair leaves most of the mesh alone, so two at once cost half the time."""


@on_one_loop
@pytest.mark.parametrize("name", ALONE)
async def test_nothing_is_lost_doubled_or_out_of_order(
    scene: Scene, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await survives(scene, FAULTS[name], capsys)


@on_one_loop
@pytest.mark.parametrize("names", PAIRS, ids=" and ".join)
async def test_nor_when_two_faults_meet(
    scene: Scene, names: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    await survives(scene, together(FAULTS[names[0]], FAULTS[names[1]]), capsys)


@on_one_loop
async def test_what_was_stored_before_the_faults_is_still_stored(scene: Scene) -> None:
    assert await scene.read_again() == []


@on_one_loop
async def test_orders_were_paid_in_time_and_too_late_and_never(scene: Scene) -> None:
    ends = scene.fulfilments.ends()
    assert min(ends[step] for step in ("paid", "declined", "expired", "refunded")) > 0, ends


@on_one_loop
async def test_parked_parcels_were_replayed_and_dropped(scene: Scene) -> None:
    assert {*scene.parcels.tracks.released.values()} == {"replayed", "dropped"}


@on_one_loop
async def test_every_service_ends_with_0_when_it_is_asked_to(scene: Scene) -> None:
    """The last test: nothing runs after it."""
    await scene.shop.stop_gently()


def test_every_fault_is_met() -> None:
    assert {*ALONE, *(name for pair in PAIRS for name in pair)} == FAULTS.keys()


async def survives(scene: Scene, fault: Fault, capsys: pytest.CaptureFixture[str]) -> None:
    """Live through a fault in its shortest form; on CI none may be skipped."""
    if fault.needs_network and (why := scene.cluster.why_no_network):
        missing(why)
    hold = fault.hold[0]
    episode = await live_through(scene, fault, Random(fault.name), hold=hold, after=0.5)  # noqa: S311 - repeatable, not secret
    with capsys.disabled():
        print(  # noqa: T201 - how long the recovery took is asked for
            f"\n{fault.name} ({episode.victim}): {episode.write_gap:.1f} s without PubAck, "
            f"{episode.outcome_gap:.1f} s without mail, everything at its end "
            f"{episode.recovered:.1f} s after the healing"
        )
    assert episode.problems == []
