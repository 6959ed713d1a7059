"""A service is added to the list of a system, and nothing else of the source changes."""

from __future__ import annotations

import pytest

from jetmesh.errors import UsageError
from jetmesh.operate.scaffold.listing import with_service


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            'system = System(\n    "g",\n    services=(),\n)\n',
            'system = System(\n    "g",\n    services=(\n        "g.new",\n    ),\n)\n',
        ),
        (
            'System("g", services=(\n    "g.a",\n    "g.b",  # why\n))',
            'System("g", services=(\n    "g.a",\n    "g.b",\n    "g.new",  # why\n))',
        ),
        ('System("g", services=("g.a",))', 'System("g", services=("g.a", "g.new"))'),
        ('System("g", ["g.a", "g.b"])', 'System("g", ["g.a", "g.b", "g.new"])'),
        ('x = "ä"; System("ä", services=("ä",))', 'x = "ä"; System("ä", services=("ä", "g.new"))'),
    ],
)
def test_the_service_is_added_at_the_end(before: str, after: str) -> None:
    assert with_service(before, "g.new") == after


@pytest.mark.parametrize("source", ["", 'System("g", services=listed())', "System = 1"])
def test_a_list_that_is_computed_is_left_to_people(source: str) -> None:
    with pytest.raises(UsageError, match="does not list its services") as told:
        with_service(source, "g.new")
    assert "'g.new' by hand" in told.value.remedy
