"""The graph of a system as a drawing: services are boxes, events the pills between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from jetmesh.declare.topology import OUTSIDE, Topology
from jetmesh.operate.catalog.layout import place

_CHARACTER: Final = 8.2
"""The width of one in the drawing's units, of a wide font."""
_PADDING: Final = 30.0
_HEIGHT: Final = 34.0
_LAYER: Final = 74.0
_GAP: Final = 22.0
_MARGIN: Final = 6.0


@dataclass(frozen=True, slots=True)
class Box:
    """A service, an event, or what is outside."""

    name: str
    kind: str
    """`service`, `event` or `outside`."""
    x: float
    y: float
    width: float
    height: float = _HEIGHT

    @property
    def middle(self) -> tuple[float, float]:
        return self.x + self.width / 2, self.y + self.height / 2


@dataclass(frozen=True, slots=True)
class Line:
    """From one to another."""

    path: str
    """As SVG writes it."""
    ends: tuple[str, str]
    is_read: bool
    """By a read model alone: nothing follows from it."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """What a template needs to write the SVG."""

    boxes: Sequence[Box]
    lines: Sequence[Line]
    width: float
    height: float


def draw(topology: Topology) -> Drawing:
    """The whole system, from top to bottom."""
    kinds, edges = _graph(topology)
    widths = {node: len(node) * _CHARACTER + _PADDING for node in kinds}
    placed = place(widths, edges, _GAP)
    boxes = {
        node: Box(
            node,
            kind,
            round(placed.centres[node] - widths[node] / 2 + _MARGIN, 1),
            placed.layers[node] * _LAYER + _MARGIN,
            round(widths[node], 1),
        )
        for node, kind in kinds.items()
    }
    lines = [Line(_path(placed.paths[ends]), ends, read) for ends, read in edges.items()]
    height = max(placed.depth - 1, 0) * _LAYER + _HEIGHT + 2 * _MARGIN
    return Drawing(tuple(boxes.values()), lines, placed.width + 2 * _MARGIN, height)


def _graph(topology: Topology) -> tuple[dict[str, str], dict[tuple[str, str], bool]]:
    """The nodes with their kinds; the edges, and whether each is a read model's alone."""
    kinds: dict[str, str] = {OUTSIDE: "outside"} if topology.from_outside else {}
    kinds |= {service.name: "service" for service in sorted(topology.services, key=_name)}
    edges: dict[tuple[str, str], bool] = {}
    for spec in topology.events:
        kinds[spec.subject] = "event"
        for source in topology.sources(spec):
            edges[source, spec.subject] = False
        handling = {h.service for h in topology.handlers if h.input == spec}
        readers = {reader.partition(".")[0] for reader in topology.readers(spec)}
        for reader in sorted(readers):
            edges[spec.subject, reader] = reader not in handling
    return kinds, edges


def _name(service: object) -> str:
    return str(getattr(service, "name", ""))


def _path(points: Sequence[tuple[float, int]]) -> str:
    """A line through the places of an edge: straight along a node, bent between layers."""
    down = points[0][1] <= points[-1][1]
    steps: list[str] = []
    for number, (centre, layer) in enumerate(points):
        x, top = round(centre + _MARGIN, 1), layer * _LAYER + _MARGIN
        enter, leave = (top, top + _HEIGHT) if down else (top + _HEIGHT, top)
        if number == 0:
            steps.append(f"M{x:g} {leave:g}")
        else:
            previous, half = _before(points, number, down=down), (_LAYER - _HEIGHT) / 2
            bend = half if down else -half
            steps.append(
                f"C{previous[0]:g} {previous[1] + bend:g} {x:g} {enter - bend:g} {x:g} {enter:g}"
            )
            if number < len(points) - 1:
                steps.append(f"V{leave:g}")
    return "".join(steps)


def _before(points: Sequence[tuple[float, int]], number: int, *, down: bool) -> tuple[float, float]:
    centre, layer = points[number - 1]
    top = layer * _LAYER + _MARGIN
    return round(centre + _MARGIN, 1), top + _HEIGHT if down else top
