"""A bar chart as SVG, readable on a light and on a dark page."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from statistics import median
from typing import Any, Final

_LEFT, _BAR, _GAP, _WIDTH, _VALUE = 190, 18, 8, 760, 120
_HEAD, _TITLE = 34, 40
_FAR: Final = 5
"""A bar that many times longer than the middle one is cut: it would make the others one size."""
_STYLE: Final = (
    "text{font:13px system-ui,sans-serif;fill:#24292f}"
    ".title{font-weight:600;font-size:15px}.note{fill:#656d76}"
    ".bar{fill:#8c959f}.ours{fill:#0969da}.spread{stroke:#24292f;stroke-width:1.5}"
    ".cut{stroke:#fff;stroke-width:5}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.note{fill:#8d96a0}"
    ".bar{fill:#6e7681}.ours{fill:#4493f8}.spread{stroke:#e6edf3}"
    ".cut{stroke:#0d1117}}"
)
_PANELS: Final = (
    ("process", "cpu_us", "consume, decode, decide, publish guarded, PubAck, ack: CPU per message"),
    ("process", "rate", "the same: messages per second"),
    ("consume", "cpu_us", "consume, decode, ack: CPU per message"),
    ("consume", "rate", "the same: messages per second"),
)


def draw(results: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    """The throughput part of `results`, one panel for each workload and measure."""
    panels, height = [], _TITLE
    for workload, measure, title in _PANELS:
        peers = results.get(workload, {})
        if peers:
            panels.append(_panel(peers, measure, title, titles, height))
            height += _HEAD + len(peers) * (_BAR + _GAP) + 16
    machine = results["machine"]
    note = (
        f"{machine['cpu']}, {machine['cores']} cores, nats-server {machine['nats_server']}, "
        f"{machine['measured_at']}; medians, lines: lowest to highest"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height + 24}" '
        f'role="img" aria-label="Rate and CPU per message of jetmesh and its peers">'
        f"<style>{_STYLE}</style>{_text(0, 22, 'jetmesh beside its peers', 'title')}"
        f"{''.join(panels)}{_text(0, height + 12, note, 'note')}</svg>\n"
    )


def _panel(
    peers: Mapping[str, Any], measure: str, title: str, titles: Mapping[str, str], top: int
) -> str:
    limit = _FAR * median(peer[measure] for peer in peers.values())
    longest = max(p[f"{measure}_spread"][1] for p in peers.values() if p[measure] <= limit)
    scale = (_WIDTH - _LEFT - _VALUE) / longest
    parts = [_text(0, top + 20, title, "title")]
    for place, (name, peer) in enumerate(peers.items()):
        y = top + _HEAD + place * (_BAR + _GAP)
        parts.append(_bar(name, titles.get(name, name), peer, measure, scale, y))
    return "".join(parts)


def _bar(name: str, title: str, peer: Mapping[str, Any], measure: str, scale: float, y: int) -> str:
    cut = peer[measure] * scale > _WIDTH - _LEFT - _VALUE
    width = _WIDTH - _LEFT - _VALUE if cut else peer[measure] * scale
    low, high = (_LEFT + value * scale for value in peer[f"{measure}_spread"])
    end, middle = _LEFT + width if cut else max(high, _LEFT + width), y + _BAR / 2
    mark = (
        f'<path class="cut" d="M{end - 26},{y + _BAR + 2}l8,-{_BAR + 4}"/>'
        if cut
        else f'<line class="spread" x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}"/>'
    )
    return (
        _text(0, y + 14, title)
        + f'<rect class="{"ours" if name.startswith("jetmesh") else "bar"}" x="{_LEFT}" y="{y}" '
        f'width="{width:.1f}" height="{_BAR}" rx="2"/>{mark}'
        + _text(end + 8, y + 14, _shown(peer[measure], measure))
    )


def _shown(value: float, measure: str) -> str:
    return f"{value:.1f} µs" if measure == "cpu_us" else f"{value:,.0f}/s"


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    name = f' class="{kind}"' if kind else ""
    return f'<text{name} x="{x:.1f}" y="{y}">{escape(text)}</text>'
