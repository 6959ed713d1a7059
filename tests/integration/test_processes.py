"""A process on a real broker: what moves it, what it does not expect, what it may not do."""

from __future__ import annotations

import re
from typing import Any

import pytest

from jetmesh.operate.deadletters.desk import Desk
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.headers import APPLIED, ERROR, FINGERPRINT, MESSAGE, WHERE
from jetmesh.protocol.steps import applied_of
from jetmesh.testing import eventually, mesh
from tests.integration.orders_process import Orders


async def test_a_process_moves_along_what_its_handlers_declare(unique: str, broker: Broker) -> None:
    orders = Orders(unique)
    async with mesh(orders.moving(), url=broker.url) as m:
        await m.publish(orders.placed("o-1"))
        await orders.stands(m, "o-1", "waiting")
        await m.publish(orders.paid("o-1"))
        await orders.stands(m, "o-1", "paid")
        await m.publish(orders.closed("o-1"))
        await orders.stands(m, "o-1", "closed")
        assert await orders.letters(m) == []


async def test_what_a_step_does_not_expect_is_ignored_counted_and_told_in_the_state(
    unique: str, broker: Broker
) -> None:
    orders = Orders(unique)
    async with mesh(orders.moving(), url=broker.url) as m:
        await m.publish(orders.placed("o-1"))
        await orders.stands(m, "o-1", "waiting")
        await m.publish(orders.placed("o-1"))  # again, by somebody who typed it twice

        async def told() -> Any:
            found = await orders.newest(m, "o-1")
            assert found is not None
            return applied_of(found.headers[APPLIED]).unexpected

        await eventually(told, what="the input that was ignored")
        ((source, step),) = await told()
        assert source.startswith(f"{unique}-in.placed 2-")
        assert step == "waiting"
        await orders.stands(m, "o-1", "waiting")
        counts = {
            each.handler.name: each.stats.ignored
            for each in m.running[orders.service.name].consumers
        }
        assert counts == {"place": 1, "pay": 0, "close": 0}


async def test_what_comes_before_its_process_begins_is_expected_only_if_somebody_says_so(
    unique: str, broker: Broker
) -> None:
    orders = Orders(unique)
    async with mesh(orders.moving(), url=broker.url) as m:
        await m.publish(orders.closed("o-1"))
        await eventually(lambda: orders.newest(m, "o-1"), what="that it was passed over")
        await m.publish(orders.placed("o-1"))
        await orders.stands(m, "o-1", "waiting")


async def test_what_is_to_be_rejected_is_a_letter_that_can_be_replayed_later(
    unique: str, broker: Broker
) -> None:
    orders = Orders(unique, otherwise="reject")
    async with mesh(orders.moving(), url=broker.url) as m:
        await m.publish(orders.paid("o-1"))
        await eventually(lambda: orders.letters(m), what="a letter")
        (letter,) = await orders.letters(m)
        assert letter.headers[ERROR] == "Unexpected"
        assert letter.headers[MESSAGE] == (
            f"Paid is not expected by the process {orders.name} while nothing is known of the key; "
            "pay says otherwise='reject'"
        )
        await m.publish(orders.placed("o-1"))
        await orders.stands(m, "o-1", "waiting")
        desk = Desk(m.control, by="test")
        await desk.send(await desk.prepare(await desk.open(letter.sequence)))
        await orders.stands(m, "o-1", "paid")


async def test_letters_of_other_steps_are_other_faults_and_name_the_handler_with_the_step(
    unique: str, broker: Broker
) -> None:
    orders = Orders(unique, otherwise="reject")
    async with mesh(orders.moving(), url=broker.url) as m:
        await m.publish(orders.paid("o-1"))
        await m.publish(orders.paid("o-2"))
        await m.publish(orders.placed("o-3"))
        await orders.stands(m, "o-3", "waiting")
        await m.publish(orders.closed("o-3"))
        await orders.stands(m, "o-3", "closed")
        await m.publish(orders.paid("o-3"))

        async def three() -> bool:
            return len(await orders.letters(m)) == 3

        await eventually(three, what="three letters")
        faults: dict[str, set[str]] = {}
        for each in await orders.letters(m):
            faults.setdefault(each.headers[FINGERPRINT], set()).add(each.headers[WHERE])
        places = sorted(place for (place,) in faults.values())
        in_closed, in_none = (r"in the step 'closed'", "while nothing is known of the key")
        handler = r"integration/orders_process.py:\d+ in pay, "
        assert len(places) == 2
        assert re.fullmatch(handler + in_closed, places[0])
        assert re.fullmatch(handler + in_none, places[1])


async def test_a_move_that_nobody_declared_is_a_letter_that_says_so(
    unique: str, broker: Broker
) -> None:
    orders = Orders(unique)
    async with mesh(orders.moving(), url=broker.url) as m:
        await m.publish(orders.placed("o-1"))
        await orders.stands(m, "o-1", "waiting")
        await m.publish(orders.paid("o-1", "closed"))
        await eventually(lambda: orders.letters(m), what="a letter")
        (letter,) = await orders.letters(m)
        assert letter.headers[ERROR] == "UndeclaredMove"
        assert f"pay moved {orders.name} from 'waiting' to 'closed'" in letter.headers[MESSAGE]
        assert "declares only 'paid'" in letter.headers[MESSAGE]
        told = letter.headers[WHERE]
        assert re.fullmatch(
            r"integration/orders_process.py:\d+ in pay, from 'waiting' to 'closed'", told
        )
        await orders.stands(m, "o-1", "waiting")


@pytest.mark.parametrize("step", ["waiting", "paid"])
async def test_the_state_says_since_when_it_stands_in_its_step(
    unique: str, broker: Broker, step: str
) -> None:
    orders = Orders(unique)
    async with mesh(orders.moving(), url=broker.url) as m:
        await m.publish(orders.placed("o-1"))
        await orders.stands(m, "o-1", "waiting")
        if step == "paid":
            await m.publish(orders.paid("o-1"))
            await orders.stands(m, "o-1", "paid")
        moved = await orders.newest(m, "o-1")
        await m.publish(orders.placed("o-1"))

        async def again() -> bool:
            return await orders.newest(m, "o-1") != moved

        await eventually(again, what="that an event was ignored")
        ignored = await orders.newest(m, "o-1")
        assert moved is not None
        assert ignored is not None
        since = applied_of(moved.headers[APPLIED]).since
        assert abs(since - moved.stored_ns) < 60e9
        assert applied_of(ignored.headers[APPLIED]).since == since
