"""What a run found: a table on the screen, and markdown, a chart and JSON in a folder."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from jetmesh.operate.up.broker import find_server
from tests.cluster.chaos.chart import draw
from tests.cluster.chaos.episodes import Episode
from tests.cluster.chaos.faults import FAULTS
from tests.cluster.chaos.scene import Scene
from tests.cluster.chaos.timeline import Sample

_COLUMNS: Final = (
    "fault",
    "whom",
    "s without PubAck",
    "s without mail",
    "s to the end of all",
    "not ready (s)",
    "mails again",
    "dead letters",
    "wrong",
)


CHECKED: Final = (
    "each acknowledged purchase has one outcome of each service, or its dead letter",
    "each order stands in one end: paid, declined, expired, or refunded since it was paid late",
    "no deadline was lost, came too early, or came twice",
    "streams and gateway agree to the cent on what each customer paid and got back",
    "there is one mail for each fact of each purchase",
    "points are what was paid, and each tier was told once",
    "two replicas of an ordered handler followed each parcel as it was stored, none left out",
    "only damaged parcels waited, and went on in order behind replayed and dropped letters",
    "no stream has a gap, no lane holds anything",
)
"""What is true after each fault, or a sentence says what is not."""


@dataclass(frozen=True, slots=True)
class Result:
    """Everything that a run found."""

    command: str
    """How to repeat it."""
    facts: dict[str, str]
    """Machine, versions, settings."""
    totals: dict[str, int]
    episodes: list[Episode]
    samples: list[Sample]
    problems: list[str]
    """Of the run as a whole; those of a fault are with its episode."""

    @property
    def wrong(self) -> int:
        """How many sentences say that something should not be."""
        return len(self.problems) + sum(len(episode.problems) for episode in self.episodes)


def totals(scene: Scene) -> dict[str, int]:
    """What was published and what became of it."""
    ledger, load = scene.ledger, scene.load
    kinds: Counter[str] = Counter()
    for story in ledger.stories.values():
        kinds.update(mark.kind for marks in story.marks.values() for mark in marks)
    fates = Counter(fate for each in ledger.fates.values() for fate in each)
    last = scene.timeline.samples[-1]
    return {
        "messages acknowledged": len(load.acknowledged),
        "purchases acknowledged": load.purchases,
        **{kind: kinds[kind] for kind in sorted(kinds)},
        "second presses refused": fates["refused"],
        "mails, each fact once": last.told,
        **_ends(scene),
        **_order(scene),
        "points of all accounts": sum(points for points, _ in scene.accounts.points.values()),
        "tiers told": sum(map(len, scene.accounts.told.values())),
        "mails sent again": last.mails - last.told,
        "dead letters": sum(ledger.letters.values()),
    }


def _ends(scene: Scene) -> dict[str, int]:
    """Where the orders stand."""
    return {f"orders {step}": count for step, count in sorted(scene.fulfilments.ends().items())}


def _order(scene: Scene) -> dict[str, int]:
    """What the ordered handler had to do."""
    tracks = scene.parcels.tracks
    how = Counter(tracks.released.values())
    return {
        "moves asked": sum(scene.moves.acknowledged.values()),
        "moves followed in order": sum(len(each.followed) for each in tracks.tracks.values()),
        "parked parcels replayed": how["replayed"],
        "parked parcels dropped": how["dropped"],
    }


def facts(scene: Scene) -> dict[str, str]:
    """What it was measured on, without naming the machine."""
    said = subprocess.run(
        [find_server(), "--version"], capture_output=True, text=True, check=True, timeout=10
    )
    return {
        "": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cores": str(os.cpu_count()),
        "Python": platform.python_version(),
        "nats-server": said.stdout.strip().rpartition("v")[2],
        "sync_interval": "default",
        "purchases/s": str(scene.options.rate),
    }


def table(episodes: Sequence[Episode]) -> Table:
    """For the screen."""
    shown = Table(title="seconds without a PubAck, without a mail, to the end of all; then counts")
    shown.add_column("", justify="right")
    for column in ("fault", "PubAck", "mail", "end", "mails again", "dead letters", "wrong"):
        shown.add_column(column, justify="left" if column == "fault" else "right", no_wrap=True)
    for number, episode in enumerate(episodes, 1):
        name, _, *seconds, _red, again, dead, wrong = _row(episode)
        style = "bold red" if episode.problems else ""
        shown.add_row(str(number), name, *seconds, again, dead, wrong, style=style)
    return shown


def write(result: Result, folder: Path) -> list[Path]:
    """Write report.md, report.svg and report.json; returns what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    facts_in_words = ", ".join(f"{name} {value}".strip() for name, value in result.facts.items())
    picture = draw(result.samples, result.episodes, result.command, facts_in_words)
    files = {
        "report.md": _markdown(result, facts_in_words),
        "report.svg": picture,
        "report.json": json.dumps(_plain(result), indent=1) + "\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    return [folder / name for name in files]


def _markdown(result: Result, facts_in_words: str) -> str:
    verdict = f"**{result.wrong} things are wrong.**" if result.wrong else "Nothing is wrong."
    lines = [
        "# Chaos",
        "",
        f"`{result.command}` ({facts_in_words}). {verdict}",
        "",
        "![The run as a chart](report.svg)",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value:,} |" for name, value in result.totals.items()),
        "",
        "Checked after each fault:",
        "",
        *(f"- {each};" for each in CHECKED[:-1]),
        f"- {CHECKED[-1]}.",
        "",
        f"| | {' | '.join(_COLUMNS)} |",
        f"|---|{'---|' * len(_COLUMNS)}",
    ]
    for number, episode in enumerate(result.episodes, 1):
        lines.append(f"| {number} | {' | '.join(_row(episode))} |")
    lines += ["", "What each fault is:", ""]
    met = {episode.fault for episode in result.episodes}
    lines += [
        f"- `{name}`: {fault.what}."
        for name, fault in FAULTS.items()
        if any(name in each for each in met)
    ]
    for episode in result.episodes:
        lines += [f"- **{episode.fault}**: {problem}" for problem in episode.problems]
    lines += [f"- **{problem}**" for problem in result.problems]
    return "\n".join(lines) + "\n"


def _row(episode: Episode) -> list[str]:
    red = ", ".join(f"{name} {seconds:.1f}" for name, seconds in sorted(episode.red.items()))
    return [
        episode.fault,
        episode.victim if len(episode.victim) <= 24 else f"{episode.victim[:23]}…",
        f"{episode.write_gap:.1f}",
        f"{episode.outcome_gap:.1f}",
        f"{episode.recovered:.1f}",
        red or "-",
        str(episode.duplicates),
        str(episode.dead),
        str(len(episode.problems)),
    ]


def _plain(result: Result) -> dict[str, Any]:
    """Without the reasons of every sample: they would be most of the file."""
    plain = asdict(result)
    plain["samples"] = [
        [round(s.at, 2), s.acknowledged, s.told, s.mails, s.dead, sorted(s.red)]
        for s in result.samples
    ]
    return plain
