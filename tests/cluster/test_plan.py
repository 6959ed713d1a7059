"""The seed decides the run, and the command line refuses what there is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

from tests.cluster.chaos.episodes import Episode
from tests.cluster.chaos.faults import FAULTS
from tests.cluster.chaos.plan import Step, steps
from tests.cluster.chaos.report import Result, write
from tests.cluster.chaos.running import possible
from tests.cluster.chaos.timeline import Sample

ROOT = Path(__file__).parents[2]


def planned(seed: int, count: int = 60) -> list[tuple[str, float, float, float]]:
    def shape(step: Step) -> tuple[str, float, float, float]:
        return step.fault.name, step.pause, step.hold, step.chance.random()

    return [shape(step) for step in islice(steps(seed, list(FAULTS.values())), count)]


def test_the_same_seed_is_the_same_run() -> None:
    assert planned(7) == planned(7)
    assert planned(7) != planned(8)


def test_every_fault_comes_before_any_comes_again() -> None:
    names = [name for name, *_ in planned(3)]
    assert set(names[: len(FAULTS)]) == FAULTS.keys()
    assert " + " in names[len(FAULTS)], "and then in pairs"


def test_without_root_only_what_needs_no_network_is_left() -> None:
    faults, missing = possible((), "there is no root")
    assert {fault.name for fault in missing} == {"leader-isolated", "disk-full", "disks-full"}
    assert len(faults) == len(FAULTS) - 3
    assert possible(("leader-isolated",), "") == ([FAULTS["leader-isolated"]], [])


def test_an_unknown_fault_is_refused_with_those_that_there_are() -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "tests.cluster.chaos", "--faults", "flood"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert answer.returncode == 2
    assert "there is no fault flood; there are leader-killed" in answer.stderr


def test_a_report_says_what_is_wrong_and_how_to_repeat_it(tmp_path: Path) -> None:
    episode = Episode(
        fault="leader-killed",
        victim="n2",
        injected=1.0,
        healed=2.0,
        settled=3.0,
        acknowledged=9,
        write_gap=4.25,
        outcome_gap=5.0,
        recovered=1.0,
        red={"payments": 4.0},
        duplicates=1,
        dead=2,
        problems=["p-1 was lost"],
    )
    samples = [Sample(float(at), at, at, at, 0, 0, {"payments": "<gone>"}) for at in range(5)]
    result = Result("make chaos SEED=7 MINUTES=1", {"cores": "2"}, {}, [episode], samples, [])
    write(result, tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "make chaos SEED=7 MINUTES=1" in text
    assert "| 1 | leader-killed | n2 | 4.2 | 5.0 | 1.0 | payments 4.0 | 1 | 2 | 1 |" in text
    assert "- **leader-killed**: p-1 was lost" in text
    assert "&lt;gone&gt;" in (tmp_path / "report.svg").read_text()
    assert json.loads((tmp_path / "report.json").read_text())["episodes"][0]["dead"] == 2
