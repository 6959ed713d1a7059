"""Where the parts of a graph stand: in layers from top to bottom, with few crossings.

The usual steps (Sugiyama's): no circle, a layer for each node, an order within each layer, a place
for each. The same graph gets the same places.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

_SWEEPS: Final = 24
_FEWEST: Final = 4
_WORK: Final = 50_000
"""So many nodes and bends are looked at in all sweeps together: a large graph gets fewer."""
_BEND: Final = 12.0
"""The width of a place that an edge passes between nodes."""
_BETWEEN: Final = "\n"
"""In the names of bends, and of nothing else."""
_STRAIGHT: Final = 8
"""So much more than others two bends of one edge want to stand below one another."""

Edge = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Placed:
    """A graph with places."""

    centres: Mapping[str, float]
    """Of each node, from the left."""
    layers: Mapping[str, int]
    """Of each node, from the top."""
    paths: Mapping[Edge, tuple[tuple[float, int], ...]]
    """Where each edge passes: the centre and layer of its beginning, of every bend, of its end."""
    width: float
    depth: int
    """How many layers there are."""


def place(widths: Mapping[str, float], edges: Iterable[Edge], gap: float) -> Placed:
    """Place nodes of these widths, at least `gap` apart."""
    edges = [(a, b) for a, b in dict.fromkeys(edges) if a != b]
    layers = _layers(list(widths), edges)
    chains, wide = _chains(edges, layers, widths)
    rows, above, below = _ordered(chains, layers, wide)
    centres = _centres(rows, above, below, wide, gap)
    left = min((centres[n] - wide[n] / 2 for n in wide), default=0.0)
    right = max((centres[n] + wide[n] / 2 for n in wide), default=0.0)
    centres = {node: round(centre - left, 1) for node, centre in centres.items()}
    return Placed(
        centres={node: centres[node] for node in widths},
        layers={node: layers[node] for node in widths},
        paths={
            edge: tuple((centres[node], layers[node]) for node in chain)
            for edge, chain in chains.items()
        },
        width=round(right - left, 1),
        depth=max(layers.values(), default=-1) + 1,
    )


def _layers(nodes: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    """Below everything that leads to it; what nothing leads to stands close above what it feeds."""
    after: defaultdict[str, list[str]] = defaultdict(list)
    for a, b in _without_circles(nodes, edges):
        after[a].append(b)
    layers = dict.fromkeys(nodes, 0)
    for _ in nodes:
        for a in nodes:
            for b in after[a]:
                layers[b] = max(layers[b], layers[a] + 1)
    led_to = {b for targets in after.values() for b in targets}
    for node in nodes:
        if node not in led_to and after[node]:
            layers[node] = min(layers[b] for b in after[node]) - 1
    return layers


def _without_circles(nodes: Sequence[str], edges: Sequence[Edge]) -> list[Edge]:
    """The edges, without each that leads back to where one came from."""
    after: defaultdict[str, list[str]] = defaultdict(list)
    for a, b in edges:
        after[a].append(b)
    kept: list[Edge] = []
    done: set[str] = set()
    for start in nodes:
        path, waiting = [start], {start: iter(after[start])}
        while path and start not in done:
            node = path[-1]
            target = next(waiting[node], None)
            if target is None:
                done.add(path.pop())
            elif target not in path:
                kept.append((node, target))
                if target not in done:
                    path.append(target)
                    waiting[target] = iter(after[target])
    return kept


def _chains(
    edges: Sequence[Edge], layers: dict[str, int], widths: Mapping[str, float]
) -> tuple[dict[Edge, list[str]], dict[str, float]]:
    """Each edge with a bend in every layer that it passes; bends are nodes from here on."""
    wide = dict(widths)
    chains: dict[Edge, list[str]] = {}
    for a, b in edges:
        step = 1 if layers[b] >= layers[a] else -1
        between = range(layers[a] + step, layers[b], step)
        bends = [f"{a}{_BETWEEN}{b}{_BETWEEN}{layer}" for layer in between]
        for bend, layer in zip(bends, between, strict=True):
            layers[bend], wide[bend] = layer, _BEND
        chains[a, b] = [a, *bends, b]
    return chains, wide


def _sweeps(nodes: Sized) -> int:
    return max(_FEWEST, min(_SWEEPS, _WORK // max(len(nodes), 1)))


def _is_bend(node: str) -> bool:
    return _BETWEEN in node


_Neighbours = Mapping[str, Sequence[str]]


def _ordered(
    chains: Mapping[Edge, Sequence[str]], layers: Mapping[str, int], nodes: Iterable[str]
) -> tuple[list[list[str]], _Neighbours, _Neighbours]:
    """The rows, each in the best order that was found, and who is joined with whom above, below."""
    above: defaultdict[str, list[str]] = defaultdict(list)
    below: defaultdict[str, list[str]] = defaultdict(list)
    for chain in chains.values():
        for a, b in pairwise(chain):
            upper, lower = (a, b) if layers[a] < layers[b] else (b, a)
            below[upper].append(lower)
            above[lower].append(upper)
    rows: list[list[str]] = [[] for _ in range(max(layers.values(), default=-1) + 1)]
    for node in nodes:
        rows[layers[node]].append(node)
    best, fewest = [list(row) for row in rows], _crossings(rows, below)
    for sweep in range(_sweeps(layers)):
        down = sweep % 2 == 0
        for number in range(len(rows)) if down else reversed(range(len(rows))):
            other = number - 1 if down else number + 1
            if 0 <= other < len(rows):
                at = {node: place for place, node in enumerate(rows[other])}
                _sort(rows[number], above if down else below, at)
        crossings = _crossings(rows, below)
        if crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
    return best, above, below


def _sort(row: list[str], joined: _Neighbours, at: Mapping[str, int]) -> None:
    """Each node where the middle of those is that it is joined with; others stay."""
    wanted = {}
    for place_, node in enumerate(row):
        found = [at[other] for other in joined.get(node, ()) if other in at]
        wanted[node] = sum(found) / len(found) if found else float(place_)
    row.sort(key=wanted.__getitem__)


def _crossings(rows: Sequence[Sequence[str]], below: _Neighbours) -> int:
    count = 0
    for upper, lower in pairwise(rows):
        at = {node: place_ for place_, node in enumerate(lower)}
        seen: list[int] = []
        for node in upper:
            ends = [at[b] for b in below.get(node, ()) if b in at]
            count += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return count


def _centres(
    rows: Sequence[Sequence[str]],
    above: _Neighbours,
    below: _Neighbours,
    wide: Mapping[str, float],
    gap: float,
) -> dict[str, float]:
    """Every node near the middle of its neighbours, as far as those beside it allow."""
    centres = dict.fromkeys(wide, 0.0)
    for row in rows:
        centres |= zip(row, _apart([0.0] * len(row), row, wide, gap), strict=True)
    for sweep in range(2 * _sweeps(wide)):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = []
            for node in row:
                near = [*above.get(node, ()), *below.get(node, ())]
                weights = [_STRAIGHT if _is_bend(node) and _is_bend(n) else 1 for n in near]
                total = sum(centres[n] * weight for n, weight in zip(near, weights, strict=True))
                wanted.append(total / sum(weights) if near else centres[node])
            centres |= zip(row, _apart(wanted, row, wide, gap), strict=True)
    return centres


def _apart(
    wanted: Sequence[float], row: Sequence[str], wide: Mapping[str, float], gap: float
) -> list[float]:
    """The places closest to those that are wanted in which nothing overlaps.

    It is the isotonic regression: neighbours that want past one another share a place, which the
    distances that they must keep then spread.
    """
    offsets = [0.0]
    for a, b in pairwise(row):
        offsets.append(offsets[-1] + (wide[a] + wide[b]) / 2 + gap)
    pools: list[tuple[float, int]] = []
    for want, offset in zip(wanted, offsets, strict=False):
        total, count = want - offset, 1
        while pools and pools[-1][0] / pools[-1][1] > total / count:
            total, count = total + pools[-1][0], count + pools[-1][1]
            pools.pop()
        pools.append((total, count))
    shared = [total / count for total, count in pools for _ in range(count)]
    return [place_ + offset for place_, offset in zip(shared, offsets, strict=False)]
