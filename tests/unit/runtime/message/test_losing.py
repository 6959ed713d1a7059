"""Losing a decision: calm where it is a race, and a handler may react to it before the ack."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from msgspec import Struct
from structlog.testing import capture_logs

from jetmesh import Delivery, Service, Unavailable, event
from jetmesh.declare import Handler
from jetmesh.runtime.message import asking
from jetmesh.testing import eventually
from tests.unit.runtime.message.deciding import ACCEPTED, GUARD, ended
from tests.unit.runtime.message.desk import (
    STREAM,
    Accepted,
    Desk,
    Noted,
    Placed,
    Refused,
    Shipped,
    all_that_can_run,
    message_id,
)
from tests.unit.runtime.message.wire import STORED_NS, Ack, Nak, Published, Wire

RACE = "race.*.k-1"
WON = "race.won.k-1"


@event("race.won", key="order_id", decision="race.*", race=True)
class Won(Struct, frozen=True):
    order_id: str


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again at once."""
    monkeypatch.setattr(asking, "UNDECIDED_SECONDS", 0.0)


class Reacting:
    """A handler that wants to accept, and what it does when it loses."""

    def __init__(self, returns: Any = None, *, fails: BaseException | None = None) -> None:
        self.told: list[tuple[Any, Any, str, str]] = []
        self.runs = 0
        self.returns = returns
        self.fails = fails

    def effect(self) -> Handler:
        service = Service("desk")

        @service.on(Placed)
        async def look(placed: Placed) -> Accepted | Refused:
            self.runs += 1
            return Accepted(placed.order_id)

        @service.lost(look)
        async def lose(
            mine: Accepted | Refused | None,
            stored: Accepted | Refused,
            placed: Placed,
            delivery: Delivery,
        ) -> list[Noted | Shipped] | None:
            result: list[Noted | Shipped] | None = self._react(mine, stored, placed, delivery)
            return result

        return service.handlers[0]

    def inline(self) -> Handler:
        service = Service("desk")

        @service.on(Placed)
        def look(placed: Placed) -> Accepted | Refused:
            self.runs += 1
            return Accepted(placed.order_id)

        @service.lost(look)
        def lose(
            mine: Accepted | Refused | None,
            stored: Accepted | Refused,
            placed: Placed,
            delivery: Delivery,
        ) -> Noted | None:
            result: Noted | None = self._react(mine, stored, placed, delivery)
            return result

        return service.handlers[0]

    def _react(self, mine: Any, stored: Any, placed: Placed, delivery: Delivery) -> Any:
        self.told.append((mine, stored, placed.order_id, delivery.key))
        if self.fails is not None:
            error, self.fails = self.fails, None
            raise error
        return self.returns


def hold(desk: Desk, wanted: str = GUARD, subject: str = "desk.refused.k-1") -> None:
    desk.streams.hold(wanted, subject)


def marks(desk: Desk) -> list[str]:
    """Those on their way."""
    return [p.subject for p in desk.wire.pending if p.subject.startswith("refusals.")]


async def stored_marks(desk: Desk) -> None:
    await eventually(lambda: marks(desk))
    desk.wire.pending[-1].stored()
    await ended(desk)


# a race


def racing() -> Handler:
    service = Service("desk")

    @service.on(Placed)
    async def look(placed: Placed) -> Won:
        return Won(placed.order_id)

    return service.handlers[0]


async def test_a_race_that_was_lost_before_is_acked_without_a_word_and_counted() -> None:
    desk = Desk(racing())
    hold(desk, RACE, WON)
    with capture_logs() as said:
        reply = desk.deliver()
        await ended(desk)
    assert desk.wire.sent == [Ack(reply)]
    assert (desk.stats.lost, desk.stats.refused, said) == (1, 0, [])


async def test_a_race_that_is_lost_at_the_finish_is_acked_without_a_word_and_counted() -> None:
    desk = Desk(racing())
    with capture_logs() as said:
        reply = desk.deliver()
        await ended(desk)
        hold(desk, RACE, WON)
        desk.wire.published[0].decided()
        await ended(desk)
    assert desk.wire.verdicts == [Ack(reply)]
    assert (desk.stats.lost, desk.stats.refused, said) == (1, 0, [])


async def test_an_outcome_of_ones_own_is_no_loss_in_a_race_either() -> None:
    desk = Desk(racing())
    desk.streams.hold(RACE, WON, message_id("look", 1, WON))
    desk.deliver()
    await ended(desk)
    assert (desk.stats.lost, desk.stats.repeated) == (0, 1)


# a reaction


async def test_who_lost_learns_what_it_wanted_and_what_is_stored() -> None:
    reacting = Reacting()
    desk = Desk(reacting.effect())
    reply = desk.deliver()
    await ended(desk)
    hold(desk)
    desk.wire.published[0].decided()
    await stored_marks(desk)
    assert reacting.told == [(Accepted("k-1"), Refused("k-1"), "k-1", "k-1")]
    assert desk.wire.verdicts == [Ack(reply)]
    assert desk.stats.refused == 1


async def test_after_a_crash_the_handler_does_not_run_and_mine_is_none() -> None:
    reacting = Reacting()
    desk = Desk(reacting.effect())
    hold(desk)
    reply = desk.deliver(number=2)
    await stored_marks(desk)
    assert (reacting.runs, reacting.told) == (0, [(None, Refused("k-1"), "k-1", "k-1")])
    assert desk.wire.verdicts == [Ack(reply)]


async def test_the_mark_comes_before_the_reaction_and_one_that_cannot_be_stored_stops_nothing() -> (
    None
):
    reacting = Reacting()
    desk = Desk(reacting.effect())
    hold(desk)
    reply = desk.deliver()
    await eventually(lambda: marks(desk))
    assert reacting.told == []
    desk.wire.pending[0].impossible()
    await ended(desk)
    assert desk.wire.verdicts == [Ack(reply)]


async def test_what_it_returns_is_stored_before_the_ack_under_an_id_of_its_own_effect() -> None:
    desk = Desk(Reacting([Noted("a"), Shipped("k-1")]).effect())
    hold(desk)
    reply = desk.deliver()
    await eventually(lambda: marks(desk))
    desk.wire.pending[0].stored()
    await ended(desk)
    shipped, *_ = desk.wire.pending
    assert shipped.subject == "desk-ship.sent.k-1"
    assert shipped.headers == {
        "Nats-Msg-Id": f"desk:look:{STREAM}:1-{STORED_NS}:lost:desk-ship.sent.k-1",
        "Nats-Expected-Last-Subject-Sequence": "0",
        "Nats-Expected-Last-Subject-Sequence-Subject": "desk-ship.*.k-1",
    }
    shipped.stored()
    (noted,) = desk.wire.pending
    assert noted.headers["Nats-Msg-Id"].endswith(":lost:desk-log.noted.a")
    assert desk.wire.verdicts == []
    noted.stored()
    assert desk.wire.verdicts == [Ack(reply)]


async def test_a_def_reaction_of_a_def_handler_runs_after_the_refusal() -> None:
    reacting = Reacting(Noted("a"))
    desk = Desk(reacting.inline())
    reply = desk.deliver()
    hold(desk)
    desk.wire.published[0].decided()
    await stored_marks(desk)
    assert reacting.told == [(Accepted("k-1"), Refused("k-1"), "k-1", "k-1")]
    desk.wire.pending[0].stored()
    assert desk.wire.verdicts == [Ack(reply)]


async def test_a_def_reaction_of_a_handler_in_threads_runs_in_one_too() -> None:
    threads: list[threading.Thread] = []
    service = Service("desk")

    @service.on(Placed, threads=1)
    def look(placed: Placed) -> Accepted | Refused:
        return Accepted(placed.order_id)

    @service.lost(look)
    def lose(mine: Accepted | Refused | None, stored: Accepted | Refused) -> None:
        threads.append(threading.current_thread())
        if len(threads) == 1:
            raise ConnectionError("away")

    desk = Desk(service.handlers[0])
    for number in (1, 2):
        hold(desk)
        reply = desk.deliver(number=number)
        await stored_marks(desk)
    assert desk.wire.verdicts[1:] == [Ack(reply)]
    assert isinstance(desk.wire.verdicts[0], Nak)
    assert threading.main_thread() not in threads
    await desk.consumer.runner.cancel()


class Abrupt(BaseException):
    """Of the kind that few expect."""


@pytest.mark.parametrize("error", [ConnectionError("away"), Abrupt("away")])
@pytest.mark.parametrize("late", [False, True])
async def test_a_reaction_that_fails_is_tried_again(error: BaseException, *, late: bool) -> None:
    reacting = Reacting(fails=error)
    desk = Desk(reacting.effect())
    if late:
        desk.deliver()
        await ended(desk)
        hold(desk)
        desk.wire.published[0].decided()
    else:
        hold(desk)
        desk.deliver()
    await stored_marks(desk)
    (verdict,) = desk.wire.verdicts
    assert isinstance(verdict, Nak)
    assert desk.stats.failed == 1
    reply = desk.deliver(number=2)
    await eventually(lambda: desk.wire.pending)
    desk.wire.pending[0].stored()
    await ended(desk)
    assert desk.wire.verdicts[-1] == Ack(reply)
    assert [mine for mine, *_ in reacting.told] == [Accepted("k-1") if late else None, None]


async def test_a_reaction_waits_for_an_outage_like_its_handler() -> None:
    reacting = Reacting(fails=Unavailable("the gateway is away"))
    desk = Desk(reacting.effect(), wire=Wire(Published.stored))
    hold(desk)
    reply = desk.deliver()
    await eventually(lambda: desk.wire.verdicts)
    assert desk.wire.verdicts == [Ack(reply)]
    assert (len(reacting.told), desk.stats.failed) == (2, 0)


@pytest.mark.parametrize("subject", [ACCEPTED, "desk.typed.k-1"])
async def test_to_an_outcome_that_cannot_be_read_nobody_reacts(subject: str) -> None:
    reacting = Reacting()
    desk = Desk(reacting.effect())
    desk.streams.hold(GUARD, subject, payload=b"{}")  # lacks its key
    desk.deliver()
    await ended(desk)
    assert [type(each) for each in desk.wire.sent] == [Nak]
    assert (reacting.runs, reacting.told) == (0, []), "no effect either"
    assert "is forged" in desk.consumer.verdicts.unstorable.problem


async def test_a_decision_that_a_reaction_loses_is_marked_and_has_no_reaction() -> None:
    reacting = Reacting([Shipped("k-1")])
    desk = Desk(reacting.effect())
    hold(desk)
    reply = desk.deliver()
    await stored_marks(desk)
    hold(desk, "desk-ship.*.k-1", "desk-ship.sent.k-1")
    desk.wire.pending[0].decided()
    await ended(desk)
    told = json.loads(desk.wire.pending[0].payload)
    assert told["refused"] == "desk-ship.sent.k-1"
    desk.wire.pending[0].stored()
    assert desk.wire.verdicts == [Ack(reply)]
    assert len(reacting.told) == 1


async def test_a_quarantine_lasts_until_the_reaction_has_ended() -> None:
    """Else a reaction that kills the process would kill it for ever, and never be found out."""
    desk = Desk(Reacting().inline())
    hold(desk)
    reply = desk.deliver(number=9)
    await eventually(lambda: desk.wire.pending)
    await all_that_can_run()
    desk.wire.pending[0].decided()
    await eventually(lambda: marks(desk))
    assert desk.quarantine.active
    desk.wire.pending[0].stored()
    await eventually(lambda: not desk.quarantine.active)
    assert desk.wire.verdicts == [Ack(reply)]


async def test_what_a_stop_cuts_short_is_given_back() -> None:
    reacting = Reacting()
    desk = Desk(reacting.effect())
    hold(desk)
    reply = desk.deliver()
    await eventually(lambda: marks(desk))  # and its mark is on its way
    await desk.consumer.stop()
    assert await desk.consumer.give_back() == 1
    assert [type(verdict) for verdict in desk.wire.verdicts] == [Nak]
    assert desk.wire.verdicts[0].reply == reply
    assert reacting.told == []
