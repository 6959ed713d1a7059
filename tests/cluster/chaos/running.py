"""A long run: faults by the plan until the time is over, then the account of everything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tests.cluster.chaos.episodes import Episode, live_through
from tests.cluster.chaos.faults import FAULTS, Fault
from tests.cluster.chaos.plan import steps
from tests.cluster.chaos.report import Result, facts, totals
from tests.cluster.chaos.scene import Options, Scene

_SHOW_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for."""

    seed: int
    minutes: float
    only: tuple[str, ...] = ()
    """Names of faults; all of them when empty."""
    dashboards: bool = False

    @property
    def command(self) -> str:
        parts = [f"make chaos SEED={self.seed} MINUTES={self.minutes:g}"]
        parts += [f"FAULTS={','.join(self.only)}"] if self.only else []
        return " ".join([*parts, *(["DASHBOARDS=1"] if self.dashboards else [])])


async def run(wanted: Wanted, folder: Path, console: Console) -> Result:
    """Run it and return what was found, also when it is cancelled.

    Raises:
        AssertionError, RuntimeError, JetmeshError: the scene cannot be set.
    """
    starting = console.status("starting three nats-servers and the shop on them")
    starting.start()
    async with Scene(folder, Options(seed=wanted.seed, dashboards=wanted.dashboards)) as scene:
        starting.stop()
        episodes: list[Episode] = []
        problems: list[str] = []
        try:
            with _progress(console, wanted, scene) as note:
                await _live(scene, wanted, episodes, note)
                note("reading every stream again, from its first message")
                problems += await scene.read_again()
                scene.timeline.end()
                note("SIGTERM to every service")
                await scene.shop.stop_gently()
        except asyncio.CancelledError:
            problems.append("the run was interrupted before its end")
        except (AssertionError, RuntimeError, OSError) as error:
            problems.append(f"the run ended early: {error!r}")
        samples = scene.timeline.samples
        return Result(wanted.command, facts(scene), totals(scene), episodes, samples, problems)


async def _live(
    scene: Scene, wanted: Wanted, episodes: list[Episode], note: Callable[[str], None]
) -> None:
    """One fault after another until the time is over; a fault that has begun is lived through."""
    faults, missing = possible(wanted.only, scene.cluster.why_no_network)
    for fault in missing:
        note(f"{fault.name} is left out: {scene.cluster.why_no_network}")
    if not faults:
        return
    for step in steps(wanted.seed, faults):
        if scene.timeline.now() > wanted.minutes * 60:
            return
        note(f"{step.number}: {step.fault.what} ({step.hold:.0f} s)")
        episode = await live_through(
            scene, step.fault, step.chance, before=step.pause, hold=step.hold
        )
        episodes.append(episode)
        wrong = "; ".join(episode.problems)
        note(
            f"   {step.fault.name} ({episode.victim}): {episode.write_gap:.1f} s without PubAck, "
            f"{episode.outcome_gap:.1f} s without mail, all at its end {episode.recovered:.1f} s "
            f"after the healing" + (f" [bold red]WRONG: {escape(wrong)}[/]" if wrong else "")
        )


@contextmanager
def _progress(console: Console, wanted: Wanted, scene: Scene) -> Iterator[Callable[[str], None]]:
    """A line that moves with the run; what is called with a text prints it above."""
    progress = Progress(
        TimeElapsedColumn(), BarColumn(24), TextColumn("{task.description}"), console=console
    )
    task = progress.add_task("", total=wanted.minutes * 60)

    async def move() -> None:
        while True:
            if scene.timeline.samples:
                last = scene.timeline.samples[-1]
                text = (
                    f"{last.acknowledged:,} acknowledged, {last.told:,} told, {last.dead} dead "
                    f"letters, {last.mails - last.told} mails again"
                    + (f", [red]not ready: {', '.join(sorted(last.red))}[/]" if last.red else "")
                )
                progress.update(task, completed=scene.timeline.now(), description=text)
            await asyncio.sleep(_SHOW_SECONDS)

    with progress:
        moving = asyncio.create_task(move())
        try:
            yield progress.console.print
        finally:
            moving.cancel()


def possible(names: tuple[str, ...], why_no_network: str) -> tuple[list[Fault], list[Fault]]:
    """The faults of those names that can be injected here, and those that cannot."""
    chosen = [FAULTS[name] for name in names or FAULTS]
    missing = [fault for fault in chosen if fault.needs_network and why_no_network]
    return [fault for fault in chosen if fault not in missing], missing
