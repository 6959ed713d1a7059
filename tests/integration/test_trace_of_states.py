"""What the trace of a key says of the steps of its state that no input made."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console
from rich.tree import Tree

from jetmesh import Reject, derive
from jetmesh.cli.tree import tree_of
from jetmesh.operate.trace import trace
from jetmesh.operate.up.broker import Broker
from jetmesh.testing import eventually, mesh
from tests.integration.test_states import Shop


def render(tree: Tree) -> str:
    """As a wide terminal shows it."""
    console = Console(file=io.StringIO(), width=500)
    console.print(tree)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())  # type: ignore[attr-defined] # a StringIO


@pytest.fixture
def shop(unique: str) -> Shop:
    return Shop(unique)


async def test_a_trace_says_of_a_step_that_only_notes_a_failure_what_it_is(
    shop: Shop, broker: Broker
) -> None:
    def fail(event: Any) -> None:
        if event.purchase_id == "p-1":
            raise Reject("no luck")

    shop.award(fail)
    topology = derive([shop.service])
    async with mesh(shop.service, url=broker.url) as m:
        await m.publish(shop.captured("p-0", "c-1"))
        await shop.knows(m, "c-1", 1)
        await m.publish(shop.captured("p-1", "c-1"))
        await eventually(lambda: shop.letters(m), what="a letter")
        steps = await trace(m.control, topology, "c-1")
        (step,) = [s for s in steps if any("it notes" in note for note in s.notes)]
        place = f"{shop.domain.upper()}_IN:2"
        assert step.notes == (f"changes nothing: it notes that {place} failed, and may come again",)
        assert step.by == f"{shop.domain}-loyalty"
        assert step.cause == place
        (failed,) = [s for s in steps if s.id == place]
        assert failed.notes == (), "it is not said to be in the state"
        text = render(tree_of("c-1", steps))
        assert f"{step.id}  {shop.domain}-loyalty\n" in text
