"""Where the parts of a graph stand."""

from __future__ import annotations

from itertools import combinations, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from jetmesh.operate.catalog.layout import Edge, Placed, place
from tests.examples import examples

GAP = 10.0
NAMES = [f"n{number}" for number in range(9)]
GRAPHS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=20)


def placed(edges: list[Edge]) -> Placed:
    return place(dict.fromkeys(NAMES, 40.0), edges, GAP)


def test_what_follows_stands_below() -> None:
    found = placed([("n0", "n1"), ("n1", "n2"), ("n0", "n2")])
    assert [found.layers[name] for name in ("n0", "n1", "n2")] == [0, 1, 2]
    straight, passing = found.paths["n0", "n1"], found.paths["n0", "n2"]
    assert [layer for _, layer in straight] == [0, 1]
    assert [layer for _, layer in passing] == [0, 1, 2]
    assert passing[1][0] != found.centres["n1"], "it passes beside what stands between"


def test_what_nothing_leads_to_stands_close_to_what_it_feeds() -> None:
    found = placed([("n0", "n1"), ("n1", "n2"), ("n3", "n2")])
    assert found.layers["n3"] == 1


def test_lines_cross_only_where_they_must() -> None:
    found = placed([("n0", "n3"), ("n1", "n2"), ("n0", "n5"), ("n1", "n4")])
    for (a, b), (c, d) in combinations(found.paths, 2):
        above = found.centres[a] - found.centres[c]
        below = found.centres[b] - found.centres[d]
        assert above * below >= 0, (a, b, c, d)


@settings(max_examples=examples(200), deadline=None)
@given(GRAPHS)
def test_nothing_overlaps_and_every_line_leads_from_layer_to_layer(edges: list[Edge]) -> None:
    found = placed(edges)
    for a, b in combinations(NAMES, 2):
        if found.layers[a] == found.layers[b]:
            assert abs(found.centres[a] - found.centres[b]) >= 40 + GAP - 0.2
    assert all(20 - 0.1 <= found.centres[name] <= found.width - 20 + 0.1 for name in NAMES)
    assert set(found.paths) == {(a, b) for a, b in edges if a != b}
    for (a, b), path in found.paths.items():
        assert path[0] == (found.centres[a], found.layers[a])
        assert path[-1] == (found.centres[b], found.layers[b])
        assert all(abs(upper[1] - lower[1]) == 1 for upper, lower in pairwise(path))
    assert placed(edges) == found
