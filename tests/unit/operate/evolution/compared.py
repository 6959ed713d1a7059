"""The rules about two types, compared with what the decoder does."""

from __future__ import annotations

import os
from collections import Counter
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from jetmesh.operate.evolution.compare import compare
from jetmesh.operate.evolution.describe import describe
from jetmesh.operate.evolution.generate import Values
from jetmesh.operate.evolution.leaves import Impossible
from tests.unit.operate.evolution.types import changed, readable, structs, types

EXAMPLES = int(os.environ.get("EXAMPLES", "1500"))
counted: Counter[str] = Counter()


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Any, Any]:
    """Two types, the second one often as somebody would change the first."""
    one = draw(st.one_of(structs(2), types(2)))
    assume(readable(one))
    another = draw(changed(one)) if draw(st.integers(0, 3)) else draw(types(2))
    assume(readable(another))
    return one, another


@pytest.mark.timeout(600)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    pair=pairs(),
    random=st.randoms(use_true_random=False),
    loose=st.booleans(),
    forward=st.booleans(),
)
def test_what_the_rules_call_readable_is_read(
    pair: tuple[Any, Any], random: Random, *, loose: bool, forward: bool
) -> None:
    writer, reader = map(describe, pair)
    red = any(i.verdict == "red" for i in compare(writer, reader, loose=loose, forward=forward))
    decoder = msgspec.json.Decoder(pair[1])
    values = Values(writer, random, loose=loose)
    broken = ""
    for _ in range(12):
        try:
            payload = msgspec.json.encode(values.one())
            msgspec.json.decode(payload, type=pair[0])
        except (Impossible, TypeError, msgspec.ValidationError):  # not written by this type
            continue
        try:
            decoder.decode(payload)
        except (msgspec.ValidationError, TypeError) as error:
            broken = broken or f"{payload!r}: {error}"
    counted["red" if red else "not red", "broken" if broken else "read"] += 1  # type: ignore[index]  # pairs count
    assert red or not broken, f"a false green: {broken}\n{writer}\n{reader}"


def test_false_reds_are_few() -> None:
    print(dict(counted))  # noqa: T201 - a number for people
    false, true = counted["red", "read"], counted["red", "broken"]  # type: ignore[index]  # pairs count
    assert false < true
