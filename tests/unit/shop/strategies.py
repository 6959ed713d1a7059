"""Histories for hypothesis: few keys, so that everything happens to the same purchase."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import strategies as st
from msgspec import Struct

from jetmesh import Record
from shop_contracts import Channel, DeclineReason, Outcome, RejectionCode
from tests.unit.shop import flow

_keys = st.sampled_from(["p-1", "p-2", "a/b <i>", "…"])
_amounts = st.sampled_from(["9.00", "0.01", "-3", "NaN", "1E+400", "0.00001", "123456789"])
_currencies = st.sampled_from(["EUR", "JPY", "", "<script>alert(1)</script>"])
_codes = st.lists(st.sampled_from(RejectionCode), max_size=3)


def _events() -> st.SearchStrategy[Struct]:
    purchases = st.builds(
        lambda key, total, currency: flow.created(key, total=Decimal(total), currency=currency),
        _keys,
        _amounts,
        _currencies,
    )
    return st.one_of(
        purchases,
        purchases,
        st.builds(flow.validated, _keys),
        st.builds(lambda key, codes: flow.rejected(key, *codes), _keys, _codes),
        st.builds(flow.captured, _keys, _amounts, _currencies),
        st.builds(flow.declined, _keys, st.sampled_from(DeclineReason)),
        st.builds(flow.expired, _keys),
        st.builds(flow.refunded, _keys),
        st.builds(flow.expiry_told, _keys, st.sampled_from(Channel)),
        st.builds(flow.refund_told, _keys, st.sampled_from(Channel)),
        st.builds(flow.told, _keys, st.sampled_from(Outcome), st.sampled_from(Channel)),
    )


# From within one bar of the chart to beyond its windows.
_seconds = st.sampled_from([0, 1, 59, 700, 5_000, 100_000, 5_000_000])


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[Struct, Record]]:
    """Events that may contradict one another, as stored by a broker whose clock is set back."""
    stored = flow.Stored()
    events = draw(st.lists(st.tuples(_events(), _seconds), max_size=30))
    return [stored(event, after=after) for event, after in events]


@st.composite
def retellings(
    draw: st.DrawFn,
) -> tuple[list[tuple[Struct, Record]], list[tuple[Struct, Record]]]:
    """A history, and the same in another order with some of it repeated."""
    history = draw(histories())
    again = draw(st.lists(st.sampled_from(history), max_size=10)) if history else []
    return history, draw(st.permutations([*history, *again]))
