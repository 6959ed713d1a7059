"""`make bench`: jetmesh and its peers side by side in one run, then the whole mesh.

ROUNDS and MESSAGES say how long: `ROUNDS=1 MESSAGES=30000 make bench` is a look of a minute.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from harness.contenders import CACHE, HERE, Peer, prepare
from harness.effects import WORKLOADS as EFFECTS
from harness.effects import measure_effects
from harness.encryption import configure
from harness.history import measure_history
from harness.instances import measure_instances
from harness.isolation import WAYS, measure_isolation
from harness.machine import describe
from harness.mesh import measure_mesh, start_to_ready
from harness.numbers import summary
from harness.options import WORKLOADS, Options, read_options
from harness.proof import measure_proof
from harness.remembering import STEPS, measure_remembering
from harness.report import show, write, write_pages
from harness.scale import measure_scale
from harness.server import Server
from harness.throughput import Bench, Sample, measure
from jetmesh.operate.up.broker import Broker
from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane

_WIDTH = 104
"""The tables need it, also where the output is no terminal."""

Results = dict[str, Any]


def main() -> None:
    """Measure, print, write; ends with 0 whatever the budgets say."""
    options = read_options(sys.argv[1:])
    console = Console(width=max(_WIDTH, Console().width))
    with _progress(console) as progress:
        setup = progress.add_task("preparing the peers", total=None)
        peers, missing = _peers(options, progress, setup)
        progress.remove_task(setup)
        results = asyncio.run(_measure(options, peers, progress))
    results["missing"] = missing | results.pop("failed")
    results["titles"] = {peer.name: peer.title for peer in peers}
    show(results, console)
    # a run of some parts must not replace the committed results of all of them
    whole = options.whole and not results["missing"].keys() & set(options.parts)
    pages = write_pages(results, HERE.parent / "docs") if whole else []
    for file in write(results, HERE if whole else CACHE) + pages:
        console.print(f"written: {file.parent.name}/{file.name}")


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<44}"), BarColumn(), TimeElapsedColumn(), console=console
    )


def _peers(options: Options, progress: Progress, task: Any) -> tuple[list[Peer], dict[str, str]]:
    if "throughput" not in options.parts:
        return [], {}
    return prepare(options.peers, lambda text: progress.update(task, description=text))


async def _measure(options: Options, peers: list[Peer], progress: Progress) -> Results:
    """Every part; one that fails is left out with its reason, and the others are kept."""
    results: dict[str, Any] = {"machine": describe(), "failed": {}}
    for part in options.parts:
        try:
            results |= await _PARTS[part](options, peers, progress)
        except Exception as error:  # noqa: BLE001 - whatever it is: the parts before took minutes
            results["failed"][part] = f"{type(error).__name__}: {error}"
    return results


async def _effects(options: Options, _: list[Peer], progress: Progress) -> Results:
    task = progress.add_task("effects", total=options.rounds * len(EFFECTS))
    async with _Benches() as bench:
        found = await measure_effects(
            bench,
            options.rounds,
            min(options.messages, 50_000),
            lambda text: progress.update(task, description=f"effects: {text}", advance=1),
        )
    return {"effects": found}


async def _history(options: Options, _: list[Peer], progress: Progress) -> Results:
    task = progress.add_task("history", total=len(options.history))
    async with _Benches() as bench:
        found = await measure_history(
            bench,
            options.history,
            min(options.messages, 100_000),
            lambda text: progress.update(task, description=f"history: {text}", advance=1),
        )
    return {"history": found}


async def _proof(options: Options, _: list[Peer], progress: Progress) -> Results:
    task = progress.add_task("can-deploy", total=len(options.history))
    async with _Benches() as bench:
        found = await measure_proof(
            bench,
            options.history,
            lambda text: progress.update(task, description=f"can-deploy: {text}", advance=1),
        )
    return {"proof": found}


async def _state(options: Options, _: list[Peer], progress: Progress) -> Results:
    task = progress.add_task("state", total=options.rounds * (1 + len(STEPS)) + 1)
    async with _Benches() as bench:
        found = await measure_remembering(
            bench,
            options.rounds,
            min(options.messages, 50_000),
            options.states,
            lambda text: progress.update(task, description=f"state: {text}", advance=1),
        )
    return {"state": found}


async def _scale(options: Options, _: list[Peer], progress: Progress) -> Results:
    task = progress.add_task("scale", total=None)

    def say(text: str) -> None:
        progress.update(task, description=f"scale: {text}")

    grown = await asyncio.to_thread(measure_scale, options.services, options.keys, say)
    return {"scale": grown, "instances": await measure_instances(options.instances, say)}


async def _isolation(options: Options, _: list[Peer], progress: Progress) -> Results:
    task = progress.add_task("isolation", total=options.rounds * len(WAYS))
    ready, missing = prepare(["jetmesh"], lambda _: None)
    if not ready:
        raise RuntimeError(f"jetmesh itself cannot be measured: {missing}")
    found = await measure_isolation(
        ready[0],
        options.rounds,
        min(options.messages, 100_000),
        lambda text: progress.update(task, description=f"isolation: {text}", advance=1),
    )
    return {"isolation": found}


class _Benches:
    """A broker of our own, its store on disk and forgotten afterwards."""

    async def __aenter__(self) -> Bench:
        CACHE.mkdir(exist_ok=True)
        self._folder = tempfile.TemporaryDirectory(dir=CACHE)
        folder = Path(self._folder.name)
        self._broker = Broker(folder, config=configure(folder))
        self._broker.start()
        settings = NatsSettings(url=self._broker.url)
        self._control = await ControlPlane.connect(settings, name="bench")
        return Bench(self._broker, Server(self._control), folder)

    async def __aexit__(self, *_: object) -> None:
        await self._control.close()
        self._broker.stop()
        self._folder.cleanup()


async def _throughput(options: Options, peers: list[Peer], progress: Progress) -> Results:
    async with _Benches() as bench:
        samples = await _rounds(bench, options, peers, progress)
    rounds = [{**asdict(sample), "rate": round(sample.rate)} for sample in samples]
    return {**summary(samples), "rounds": rounds}


async def _rounds(
    bench: Bench, options: Options, peers: list[Peer], progress: Progress
) -> list[Sample]:
    """Interleaved: every round measures every peer, each round beginning with another one."""
    samples = []
    amounts = {peer.name: max(1000, options.messages // peer.share) for peer in peers}
    total = options.rounds * len(WORKLOADS) * sum(amounts.values())
    task, done = progress.add_task("throughput", total=total), 0
    for number in range(options.rounds):
        first = number % max(1, len(peers))
        for workload in WORKLOADS:
            for peer in peers[first:] + peers[:first]:
                label = f"round {number + 1}/{options.rounds}: {workload}, {peer.name}"
                progress.update(task, description=label)
                sample = await measure(
                    bench,
                    peer,
                    workload,
                    number=number,
                    messages=amounts[peer.name],
                    moved=lambda acked, base=done: progress.update(task, completed=base + acked),  # type: ignore[misc] # reason: base is bound now, not when called
                )
                done += amounts[peer.name]
                samples.append(sample)
    return samples


async def _mesh(options: Options, _: list[Peer], progress: Progress) -> Results:
    task = progress.add_task("start to ready", total=options.starts)
    starts = []
    main = HERE.parent / "cmd" / "order-validation" / "main.py"
    async with _Benches() as bench:
        for _start in range(options.starts):
            log = Path(bench.broker.store) / "service.log"
            starts.append(start_to_ready(bench.broker, [sys.executable, str(main)], log=log))
            progress.advance(task)
    task = progress.add_task("the whole mesh", total=options.latency_seconds * 200)
    results = await measure_mesh(
        options.latency_seconds, lambda sent: progress.update(task, completed=sent)
    )
    ordered = sorted(starts)
    return {
        "start_to_ready_s": round(ordered[len(ordered) // 2], 3),
        "start_to_ready_spread_s": [round(ordered[0], 3), round(ordered[-1], 3)],
        **results,
    }


_PARTS: Final[Mapping[str, Callable[[Options, list[Peer], Progress], Awaitable[Results]]]] = {
    "throughput": _throughput,
    "effects": _effects,
    "mesh": _mesh,
    "history": _history,
    "isolation": _isolation,
    "proof": _proof,
    "scale": _scale,
    "state": _state,
}


if __name__ == "__main__":
    main()
