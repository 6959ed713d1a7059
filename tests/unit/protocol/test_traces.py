"""The trace that a message names, by a header or by itself."""

from __future__ import annotations

import pytest

from jetmesh.protocol.lanes import Origin
from jetmesh.protocol.traces import trace_id_in, trace_id_of

ID = "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize("name", ["traceparent", "Traceparent", "TraceParent"])
def test_a_trace_is_found_in_any_casing(name: str) -> None:
    assert trace_id_in({"a": "b", name: f" 00-{ID.upper()}-b7ad6b7169203331-01 "}) == ID


@pytest.mark.parametrize(
    "value", ["", ID, f"00-{'0' * 32}-b7ad6b7169203331-01", f"00-{ID[1:]}-b7ad6b7169203331-01"]
)
def test_what_is_no_trace_is_none(value: str) -> None:
    assert trace_id_in({"traceparent": value}) == ""


def test_a_message_names_its_trace_whoever_reads_it() -> None:
    origin = Origin("orders.placed", "ORDERS", "5", 1_764_000_000_000_000_000)
    again = origin._replace(attempts=3, replays=1)
    assert trace_id_of(origin) == trace_id_of(again)
    others = {trace_id_of(origin._replace(sequence=str(n))) for n in range(100)}
    assert len(others) == 100
    assert all(0 < each < 1 << 128 for each in others)
