"""What operators see of processes, and what moving one by hand changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, Literal

import pytest

from jetmesh import derive
from jetmesh.errors import JetmeshError, UsageError
from jetmesh.operate.deadletters.desk import Desk
from jetmesh.operate.processes import advance as work
from jetmesh.operate.processes.flow import Flow, chosen, drawn
from jetmesh.operate.processes.standing import Standing, all_standing, standing_of, stuck
from jetmesh.operate.trace import trace
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol import headers as header
from jetmesh.testing import Mesh, eventually, mesh
from tests.integration.orders_process import Orders

PAID: Final = {"paid": "tests are quick"}


def flow_of(orders: Orders) -> Flow:
    (flow,) = chosen(derive([orders.service]), orders.name)
    return flow


async def seen(m: Mesh, flow: Flow, key: str) -> Standing:
    found = await standing_of(m.control, flow, key)
    assert found is not None
    return found


async def moved(m: Mesh, flow: Flow, key: str, step: str, *, anywhere: bool = False) -> None:
    message = await work.found(m.control, flow, key)
    assert message is not None
    work.check(flow, message, step, anywhere=anywhere)
    await work.advance(m.control, flow, message, step)


async def test_where_processes_stand_what_they_wait_for_and_which_steps_remain(
    unique: str, broker: Broker
) -> None:
    orders = Orders(unique)
    async with mesh(orders.moving(), url=broker.url) as m:
        flow = flow_of(orders)
        for key in ("o-1", "o-2", "o-3"):
            await m.publish(orders.placed(key))
            await orders.stands(m, key, "waiting")
        await m.publish(orders.paid("o-2"))
        await orders.stands(m, "o-2", "paid")
        await m.publish(orders.closed("o-3"))
        await orders.stands(m, "o-3", "closed")
        found = {each.key: each async for each in all_standing(m.control, flow)}
        assert {key: each.step for key, each in found.items()} == {
            "o-1": "waiting",
            "o-2": "paid",
            "o-3": "closed",
        }
        assert found["o-1"].waits_for == (f"{unique}-in.paid", f"{unique}-in.closed")
        assert found["o-1"].remaining == ("paid", "closed")
        assert found["o-2"].waits_for == (f"{unique}-in.closed",)
        assert found["o-3"].waits_for == found["o-3"].remaining == ()
        assert await standing_of(m.control, flow, "nobody") is None


async def test_a_process_is_drawn_with_every_move_and_its_ends(unique: str) -> None:
    orders = Orders(unique)
    orders.moving()
    assert list(drawn(flow_of(orders))) == [
        "stateDiagram-v2",
        "    step0 : waiting",
        "    step1 : paid",
        "    step2 : closed",
        f"    [*] --> step0 : {unique}-in.placed",
        f"    step0 --> step1 : {unique}-in.paid",
        f"    step0 --> step2 : {unique}-in.closed",
        f"    step1 --> step2 : {unique}-in.closed",
        "    step2 --> [*]",
    ]
    with pytest.raises(UsageError, match="There is no process 'none'"):
        chosen(derive([orders.service]), "none")


async def test_a_process_that_is_moved_by_hand_goes_on_from_there_and_takes_no_input_twice(
    unique: str, broker: Broker
) -> None:
    orders = Orders(unique)
    async with mesh(orders.moving(), url=broker.url) as m:
        flow = flow_of(orders)
        await m.publish(orders.placed("o-1"))
        await orders.stands(m, "o-1", "waiting")
        before = await orders.newest(m, "o-1")
        await moved(m, flow, "o-1", "paid")
        after = await orders.newest(m, "o-1")
        assert before is not None
        assert after is not None
        assert header.CAUSE in before.headers
        assert after.headers[header.CAUSE] == header.BY_HAND, "no input did that"
        stream = f"{unique.upper()}_IN"
        await m.control.api(f"CONSUMER.DELETE.{stream}.{unique}-orders-place")
    async with mesh(orders.service, url=broker.url) as m:
        await m.publish(orders.placed("o-2"))
        await orders.stands(m, "o-2", "waiting")
        assert (await seen(m, flow, "o-1")).step == "paid"
        assert (await seen(m, flow, "o-1")).unexpected == (), "what is applied never comes again"
        await m.publish(orders.closed("o-1"))
        await orders.stands(m, "o-1", "closed")


async def test_a_running_service_finds_that_its_process_was_moved(
    unique: str, broker: Broker
) -> None:
    """It has the key in memory, and would take the move for the one that it knows."""
    orders = Orders(unique)
    async with mesh(orders.moving(), url=broker.url) as m:
        await m.publish(orders.placed("o-1"))
        await orders.stands(m, "o-1", "waiting")
        await moved(m, flow_of(orders), "o-1", "closed")
        await m.publish(orders.paid("o-1"))

        async def ignored() -> Any:
            return (await seen(m, flow_of(orders), "o-1")).unexpected

        await eventually(ignored, what="that a closed order takes no payment")
        assert (await seen(m, flow_of(orders), "o-1")).step == "closed"


async def test_only_moves_of_handlers_are_made_by_hand_unless_somebody_insists(
    unique: str, broker: Broker
) -> None:
    orders = Orders(unique)
    async with mesh(orders.moving(), url=broker.url) as m:
        flow = flow_of(orders)
        await m.publish(orders.placed("o-1"))
        await orders.stands(m, "o-1", "waiting")
        with pytest.raises(UsageError, match="has no step 'lost'"):
            await moved(m, flow, "o-1", "lost")
        with pytest.raises(UsageError, match="stands in 'waiting' already"):
            await moved(m, flow, "o-1", "waiting")
        await moved(m, flow, "o-1", "paid")
        with pytest.raises(UsageError, match=r"No handler moves .* from 'paid' to 'waiting'"):
            await moved(m, flow, "o-1", "waiting")
        await moved(m, flow, "o-1", "waiting", anywhere=True)
        await orders.stands(m, "o-1", "waiting")


async def test_who_moves_what_moved_meanwhile_changes_nothing(unique: str, broker: Broker) -> None:
    orders = Orders(unique)
    async with mesh(orders.moving(), url=broker.url) as m:
        flow = flow_of(orders)
        await m.publish(orders.placed("o-1"))
        await orders.stands(m, "o-1", "waiting")
        looked = await work.found(m.control, flow, "o-1")
        assert looked is not None
        await m.publish(orders.paid("o-1"))
        await orders.stands(m, "o-1", "paid")
        with pytest.raises(JetmeshError, match="moved meanwhile"):
            await work.advance(m.control, flow, looked, "closed")
        await orders.stands(m, "o-1", "paid")


async def test_a_process_in_a_step_that_is_no_more_is_seen_and_can_be_moved(
    unique: str, broker: Broker
) -> None:
    orders = Orders(unique)
    async with mesh(orders.moving(), url=broker.url) as m:
        flow = flow_of(orders)
        subject = f"states.{unique}.orders.o-1"
        await m.control.publish(subject, b'{"order_id":"o-1","step":"checking"}')
        found = await seen(m, flow, "o-1")
        assert (found.step, found.waits_for) == ("checking", ())
        assert found.problem == "it stands in 'checking', which is no step of this version"
        await moved(m, flow, "o-1", "paid")
        await m.publish(orders.closed("o-1"))
        await orders.stands(m, "o-1", "closed")


async def test_what_stands_without_a_deadline_is_found(unique: str, broker: Broker) -> None:
    """An operator cancelled it, or moved the process by hand."""
    orders = Orders(unique, forever={"waiting": "a test", "paid": "a test"})
    async with mesh(orders.moving(), url=broker.url) as m:
        await m.publish(orders.placed("o-1"))
        await orders.stands(m, "o-1", "waiting")
        topology = derive([orders.service])
        assert await stuck(m.control, topology) == ()
        (flow,) = chosen(topology, orders.name)
        hurried = replace(flow, process=replace(flow.process, forever={}))
        assert (await seen(m, hurried, "o-1")).problem == "no deadline leads on from here"
        await m.control.publish(f"states.{unique}.orders.o-2", b'{"order_id":"o-2","step":"gone"}')
        (found,) = await stuck(m.control, topology)
        assert (found.key, found.step) == ("o-2", "gone")


async def test_a_trace_tells_the_step_what_it_waits_for_and_what_was_ignored(
    unique: str, broker: Broker
) -> None:
    orders = Orders(unique)
    async with mesh(orders.moving(), url=broker.url) as m:
        flow = flow_of(orders)
        await m.publish(orders.placed("o-1"))
        await orders.stands(m, "o-1", "waiting")
        again = await m.publish(orders.placed("o-1"))

        async def ignored() -> Any:
            return (await seen(m, flow, "o-1")).unexpected

        await eventually(ignored, what="that it is placed already")
        steps = {step.id: step for step in await trace(m.control, derive([orders.service]), "o-1")}
        stands = await seen(m, flow, "o-1")
        told = steps[stands.place]
        assert told.waits[-1] == (
            f"in the step 'waiting' since {stands.since:%H:%M:%S}, waiting for "
            f"{unique}-in.paid, {unique}-in.closed"
        )
        assert told.notes == ("steps that may come: paid, closed",)
        second = steps[f"{again.stream}:{again.sequence}"]
        assert second.notes == (f"{unique}.orders ignored it in the step 'waiting'",)


async def test_a_trace_says_who_moved_a_process_by_hand(unique: str, broker: Broker) -> None:
    orders = Orders(unique)
    async with mesh(orders.moving(), url=broker.url) as m:
        await m.publish(orders.placed("o-1"))
        await orders.stands(m, "o-1", "waiting")
        await moved(m, flow_of(orders), "o-1", "paid")
        last = (await trace(m.control, derive([orders.service]), "o-1"))[-1]
        assert (last.cause, last.by) == ("", "jetmesh process advance")
        assert last.notes[0] == "moved by hand"


async def test_what_comes_for_a_process_in_a_step_that_is_no_more_is_a_dead_letter_for_later(
    unique: str, broker: Broker
) -> None:
    """Nothing moves it, and nothing is lost: replayed once the step is back, it goes on."""
    orders, without = Orders(unique), Orders(unique, Literal["paid", "closed"], forever=PAID)
    order = without.order

    def close(event: Any, known: Any) -> Any:
        return order(event.order_id, "closed")

    def pay(event: Any, known: Any) -> Any:
        return order(event.order_id, "paid")

    without.on(pay, without.paid, {None: "paid"})
    without.on(close, without.closed, {"paid": "closed"})
    async with mesh(orders.moving(), url=broker.url) as m:
        await m.publish(orders.placed("o-1"))
        await orders.stands(m, "o-1", "waiting")
    async with mesh(without.service, url=broker.url) as m:
        await m.publish(without.closed("o-1"))

        async def letters() -> Any:
            return await without.letters(m)

        (letter,) = await eventually(letters, what="a letter")
        assert "cannot be read: Invalid enum value" in letter.headers[header.MESSAGE]
        (found,) = await stuck(m.control, derive([without.service]))
        assert found.problem == "it stands in 'waiting', which is no step of this version"
        await orders.stands(m, "o-1", "waiting")
    async with mesh(orders.service, url=broker.url) as m:
        desk = Desk(m.control, by="test")
        await desk.send(await desk.prepare(await desk.open(letter.sequence)))
        await orders.stands(m, "o-1", "closed")


async def test_a_step_of_whatever_text_is_drawn(unique: str) -> None:
    """A colon or a semicolon would end its name, and what follows be another line's."""
    odd = "so: far; #1"
    orders = Orders(unique, Literal["so: far; #1"], ends=(odd,), forever={})
    order = orders.order

    def place(event: Any, known: Any) -> Any:
        return order(event.order_id, odd)

    orders.on(place, orders.placed, {None: odd})
    assert "    step0 : so#58; far#59; #35;1" in list(drawn(flow_of(orders)))
