"""The picture of how a mesh grows: bars for services and for keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.chart import _STYLE, _text

_LEFT, _BAR, _GAP, _WIDTH, _VALUE = 210, 18, 8, 760, 110
_HEAD, _TITLE = 34, 40
_Bar = tuple[str, float, str, bool]
"""What it is, how long, how that is written, whether it is of the new kind."""


def draw(results: Mapping[str, Any]) -> str:
    """One panel for each measure."""
    parts, height = [], _TITLE
    for title, bars in _panels(results):
        parts.append(_panel(title, bars, height))
        height += _HEAD + len(bars) * (_BAR + _GAP) + 16
    machine = results["machine"]
    note = (
        f"{machine['cpu']}, {machine['cores']} cores, nats-server {machine['nats_server']}, "
        f"{machine['measured_at']}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height + 24}" '
        f'role="img" aria-label="What grows with services and with keys">'
        f"<style>{_STYLE}</style>{_text(0, 22, 'What grows with services and keys', 'title')}"
        f"{''.join(parts)}{_text(0, height + 12, note, 'note')}</svg>\n"
    )


def _panels(results: Mapping[str, Any]) -> Iterator[tuple[str, list[_Bar]]]:
    services, keys = results.get("services", ()), results.get("keys", ())
    if services:
        yield "CPU of all services from start to ready", _bars(services, "start_cpu_seconds", "s")
        yield "memory of all services (PSS)", _bars(services, "pss_mib", "MiB")
        yield "CPU of all services at rest", _bars(services, "rest_percent", "% of a core")
    if keys:
        yield "memory of the server", _bars(keys, "server_mib", "MiB")
        yield "a look-up of a key, the middle one", _bars(keys, "lookup_ms_p50", "ms")
        yield "the server's start, until it answers", _bars(keys, "server_ready_seconds", "s")


def _bars(rows: Sequence[Mapping[str, Any]], measure: str, unit: str) -> list[_Bar]:
    return [
        (_name(row), row[measure], f"{row[measure]:,} {unit}", not row.get("together", False))
        for row in rows
    ]


def _name(row: Mapping[str, Any]) -> str:
    if "keys" in row:
        return f"{row['keys']:,} keys"
    return f"{row['services']} services{', one process' if row['together'] else ''}"


def _panel(title: str, bars: Sequence[_Bar], top: int) -> str:
    scale = (_WIDTH - _LEFT - _VALUE) / max(0.001, *(bar[1] for bar in bars))
    parts = [_text(0, top + 20, title, "title")]
    for place, (name, value, shown, is_ours) in enumerate(bars):
        y, width = top + _HEAD + place * (_BAR + _GAP), value * scale
        parts.append(
            _text(0, y + 14, name)
            + f'<rect class="{"ours" if is_ours else "bar"}" x="{_LEFT}" y="{y}" '
            f'width="{width:.1f}" height="{_BAR}" rx="2"/>'
            + _text(_LEFT + width + 8, y + 14, shown)
        )
    return "".join(parts)
