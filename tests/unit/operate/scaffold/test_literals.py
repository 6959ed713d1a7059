"""Examples of contracts are written as Python."""

from __future__ import annotations

import ast
from typing import Any

import pytest

import shop_contracts
from jetmesh.declare import EventSpec, spec_of
from jetmesh.operate.example import made_up
from jetmesh.operate.scaffold.literals import written

SHOP = [found for each in vars(shop_contracts).values() if (found := spec_of(each))]


@pytest.mark.parametrize("given", SHOP, ids=lambda given: given.name)
def test_it_is_written_in_lines_that_fit(given: EventSpec) -> None:
    value: Any = made_up(given)
    text = written(value)
    assert ast.literal_eval(text) == value
    assert max(map(len, text.splitlines())) <= 88
