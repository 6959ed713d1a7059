"""A run as one picture: rates, who waits, what was doubled or given up, who was not ready, when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Final

from tests.cluster.chaos.episodes import Episode
from tests.cluster.chaos.timeline import SAMPLE_SECONDS, Sample

_LEFT, _RIGHT, _WIDTH = 130, 16, 1000
_PLOT: Final = _WIDTH - _LEFT - _RIGHT
_TOP, _HEAD, _GAP = 66, 22, 20
_ROW: Final = 16
_BINS: Final = 240
"""Points of a line: more cannot be told apart."""
_STYLE: Final = (
    "text{font:12px system-ui,sans-serif;fill:#24292f}"
    ".title{font-weight:600;font-size:15px}.note{fill:#656d76}.axis{stroke:#d0d7de}"
    ".fault{fill:#cf222e;opacity:.22}.recovery{fill:#bf8700;opacity:.14}.red{fill:#cf222e}"
    "polyline{fill:none;stroke-width:1.6}"
    ".first{stroke:#0969da}.second{stroke:#1a7f37}.third{stroke:#8250df}"
    ".key-first{fill:#0969da}.key-second{fill:#1a7f37}.key-third{fill:#8250df}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.note{fill:#8d96a0}.axis{stroke:#30363d}"
    ".first{stroke:#4493f8}.second{stroke:#3fb950}.third{stroke:#ab7df8}"
    ".key-first{fill:#4493f8}.key-second{fill:#3fb950}.key-third{fill:#ab7df8}"
    ".fault,.red{fill:#f85149}.recovery{fill:#d29922}}"
)
_CLASSES: Final = ("first", "second", "third")
Points = list[tuple[float, float]]


def draw(samples: Sequence[Sample], episodes: Sequence[Episode], title: str, note: str) -> str:
    """The whole run as SVG; each fault is a band, and the table names it by its number."""
    end = max((sample.at for sample in samples), default=1.0)
    panels: list[str] = []
    height = _TOP
    for name, lines, size in _panels(samples, end):
        panels.append(_panel(name, lines, end, height, size))
        height += _HEAD + size + _GAP
    services = sorted({name for sample in samples for name in sample.red})
    panels.append(_readiness(samples, services, end, height))
    height += _HEAD + max(1, len(services)) * _ROW + _GAP
    bands = "".join(_band(n, each, end, height) for n, each in enumerate(episodes, 1))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height + 24}" role="img" '
        f'aria-label="{escape(title)}"><style>{_STYLE}</style>{_text(0, 18, title, "title")}'
        f"{_text(0, 36, note, 'note')}{bands}{''.join(panels)}{_minutes(end, height)}</svg>\n"
    )


def _panels(samples: Sequence[Sample], end: float) -> list[tuple[str, dict[str, Points], int]]:
    def rate(count: Callable[[Sample], int]) -> Points:
        return _rate(samples, count, end)

    def level(value: Callable[[Sample], int]) -> Points:
        return _level(samples, value)

    rates = {"acknowledged": rate(lambda s: s.acknowledged), "told": rate(lambda s: s.told)}
    sums = {
        "dead letters": level(lambda s: s.dead),
        "mails sent again": level(lambda s: s.mails - s.told),
    }
    return [
        ("a second", rates, 150),
        ("customers", {"waiting for their mail": level(lambda s: max(0, s.open))}, 90),
        ("so far", sums, 70),
    ]


def _panel(name: str, lines: dict[str, Points], end: float, top: int, size: int) -> str:
    most = max((value for points in lines.values() for _, value in points), default=0.0) or 1.0
    base = top + _HEAD + size
    scale = _LEFT - 40
    parts = [_text(scale, top + _HEAD + 10, f"{most:,.0f}"), _text(scale, base, "0"), _line(base)]
    x = float(_LEFT)
    for kind, (label, points) in zip(_CLASSES, lines.items(), strict=False):
        parts.append(f'<rect class="key-{kind}" x="{x}" y="{top + 5}" width="10" height="10"/>')
        parts.append(_text(x + 14, top + 14, f"{label}, {name}"))
        x += 28 + 7 * len(f"{label}, {name}")
        at = " ".join(f"{_x(t, end):.1f},{base - value / most * size:.1f}" for t, value in points)
        parts.append(f'<polyline class="{kind}" points="{at}"/>')
    return "".join(parts)


def _readiness(samples: Sequence[Sample], services: Sequence[str], end: float, top: int) -> str:
    parts = [_text(_LEFT, top + 14, "services that said that they were not ready")]
    if not services:
        parts.append(_text(_LEFT, top + _HEAD + 12, "none", "note"))
    for row, name in enumerate(services):
        y = top + _HEAD + row * _ROW
        for sample in samples:
            if why := sample.red.get(name):
                width = max(1.0, SAMPLE_SECONDS / end * _PLOT)
                parts.append(
                    f'<rect class="red" x="{_x(sample.at, end):.1f}" y="{y}" '
                    f'width="{width:.1f}" height="{_ROW - 4}">'
                    f"<title>{escape(name)}: {escape(why[:200])}</title></rect>"
                )
        parts.append(_text(0, y + 10, name))
    return "".join(parts)


def _band(number: int, episode: Episode, end: float, bottom: int) -> str:
    injected, healed = _x(episode.injected, end), _x(episode.healed, end)
    settled = _x(episode.settled, end)
    told = escape(f"{number}: {episode.fault} ({episode.victim}), recovered {episode.recovered}")
    y, height = _TOP - 8, bottom - _TOP
    return (
        f'<rect class="fault" x="{injected:.1f}" y="{y}" width="{max(1.5, healed - injected):.1f}" '
        f'height="{height}"><title>{told}</title></rect>'
        f'<rect class="recovery" x="{healed:.1f}" y="{y}" width="{max(0.0, settled - healed):.1f}" '
        f'height="{height}"/>' + _text(injected, y - 3, str(number), "note")
    )


def _minutes(end: float, y: int) -> str:
    step = next((s for s in (30, 60, 120, 300, 600, 1800) if end / s <= 12), 3600)
    marks = range(0, int(end) + 1, step)
    return "".join(_text(_x(at, end), y + 12, f"{at // 60}:{at % 60:02}", "note") for at in marks)


def _rate(samples: Sequence[Sample], count: Callable[[Sample], int], end: float) -> Points:
    """Growth a second, over stretches long enough to be smooth."""
    stretch = max(1.0, end / _BINS)
    points: Points = []
    before: Sample | None = None
    for sample in samples:
        if before is None:
            before = sample
        elif sample.at - before.at >= stretch:
            grown = (count(sample) - count(before)) / (sample.at - before.at)
            points.append(((sample.at + before.at) / 2, grown))
            before = sample
    return points


def _level(samples: Sequence[Sample], value: Callable[[Sample], int]) -> Points:
    every = max(1, len(samples) // (2 * _BINS))
    return [(sample.at, value(sample)) for sample in samples[::every]]


def _x(at: float, end: float) -> float:
    return _LEFT + at / end * _PLOT


def _line(y: float) -> str:
    return f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>'


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    name = f' class="{kind}"' if kind else ""
    return f'<text{name} x="{x:.1f}" y="{y}">{escape(text)}</text>'
