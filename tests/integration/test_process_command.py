"""`jetmesh process` and the diagram, as people use them on the shop's fulfilment."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from jetmesh.operate.up.broker import Broker
from jetmesh.testing import eventually, mesh
from shop.fulfilment import service
from tests.integration.command_line import said
from tests.unit.shop import flow

NAME = "fulfilment.orders"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Broker]:
    """Two orders wait for their payment, one was paid; nobody handles anything any more."""

    async def begin(url: str) -> None:
        async with mesh(service, url=url) as m:
            for key in ("p-1", "p-2", "p-3"):
                await m.publish(flow.validated(key))
            await m.publish(flow.captured("p-3"))

            async def stand() -> bool:
                found = await m.stored("STATES_FULFILMENT_ORDERS")
                states = [each.payload for each in found]
                return len(states) == 3 and sum(b'"paid"' in each for each in states) == 1

            await eventually(stand, what="three orders")

    with Broker(tmp_path / "nats") as broker:
        assert said("apply", url=broker.url).returncode == 0
        asyncio.run(begin(broker.url))
        yield broker


def keys(broker: Broker, *options: str) -> list[str]:
    found = json.loads(said("process", "ls", *options, "--json", url=broker.url).stdout)
    return sorted(each["key"] for each in found)


def test_processes_are_listed_by_step_and_by_how_long_they_stand_there(shop: Broker) -> None:
    assert keys(shop) == ["p-1", "p-2", "p-3"]
    assert keys(shop, "--step", "awaiting_payment") == ["p-1", "p-2"]
    assert keys(shop, "--step", "awaiting_payment", "--older", "1h") == []
    assert keys(shop, NAME, "--overdue") == []
    text = said("process", "ls", "--step", "paid", url=shop.url).stdout
    assert text.startswith(f"{NAME}  p-3  paid  for ")
    wrong = said("process", "ls", "--step", "lost", url=shop.url)
    assert (wrong.returncode, wrong.stderr.splitlines()[0]) == (2, "There is no step 'lost'.")


def test_a_process_is_shown_with_what_it_waits_for_until_when_and_what_may_come(
    shop: Broker,
) -> None:
    text = said("process", "show", "p-1", url=shop.url).stdout
    assert "  step       awaiting_payment, since " in text
    events = "payments.captured, payments.declined, fulfilments.overdue"
    assert f"  waits for  {events}, until " in text
    assert "  may come   paid, declined, expired, refunding, refunded" in text
    told = said("trace", "p-1", url=shop.url).stdout
    assert "in the step 'awaiting_payment' since" in told.replace("\n", " ")
    nobody = said("process", "show", "p-9", url=shop.url)
    assert (nobody.returncode, nobody.stderr.splitlines()[0]) == (
        1,
        "No process of 'p-9' is known.",
    )


def test_who_moves_a_process_by_hand_is_asked_and_recorded(shop: Broker) -> None:
    asked = said("process", "advance", "p-1", "expired", url=shop.url, stdin="n\n")
    assert asked.returncode != 0
    assert keys(shop, "--step", "expired") == []
    wrong = said("process", "advance", "p-1", "refunded", "--yes", url=shop.url)
    assert "No handler moves fulfilment.orders from 'awaiting_payment'" in wrong.stderr
    done = said("process", "advance", "p-1", "expired", "--yes", "--why", "asked", url=shop.url)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "p-1 was moved from awaiting_payment to expired; nothing was published.\n"
    )
    assert keys(shop, "--step", "expired") == ["p-1"]
    shown = said("process", "show", "p-1", url=shop.url).stdout
    assert "  an end     unless payments.captured comes\n" in shown
    told = " ".join(said("trace", "p-1", url=shop.url).stdout.split())
    assert ", an end unless payments.captured comes" in told
    acts = [e for e in said("audit", "ls", url=shop.url).stdout.splitlines() if "advance" in e]
    assert "advance begins: 1 of STATES_FULFILMENT_ORDERS:" in acts[0]
    assert "(asked)" in acts[0]
    assert "p-1" not in "".join(acts), "a record holds no key"
    assert "1 moved" in acts[1]


def test_the_steps_are_drawn() -> None:
    drawn = said("topology", "--format", "mermaid", "--process", NAME).stdout.splitlines()
    assert drawn[0] == "stateDiagram-v2"
    assert "    step0 --> step3 : fulfilments.overdue (deadline)" in drawn
    assert "    step4 --> step5 : refunds.made" in drawn
    flow = said("topology", "--format", "mermaid")
    assert flow.stdout.startswith("flowchart LR\n")
    assert "stateDiagram" not in flow.stdout, "a document has one diagram"
    assert flow.stderr == f"The steps of {NAME} are a diagram of their own: --process {NAME}\n"
    wrong = said("topology", "--process", NAME)
    assert (wrong.returncode, wrong.stderr.splitlines()[0]) == (
        2,
        "The steps of a process are drawn.",
    )
