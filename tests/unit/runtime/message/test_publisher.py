"""Outputs on their way: what is impossible, what cannot be encoded, and what is counted."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import permutations

import pytest

from jetmesh import Policy
from tests.unit.runtime.message.desk import Accepted, Desk, Noted, Placed
from tests.unit.runtime.message.wire import Ack, Nak, Published, Term


def accept(placed: Placed) -> Accepted:
    return Accepted(placed.order_id)


def note(placed: Placed) -> list[Noted]:
    return [Noted("a"), Noted("b"), Noted("c")]


def letters(desk: Desk) -> list[Published]:
    return [each for each in desk.wire.published if each.subject.startswith("deadletters.")]


def test_an_input_whose_output_can_never_be_stored_is_dead_lettered_with_the_reason() -> None:
    desk = Desk(accept)
    reply = desk.deliver()
    desk.wire.pending[0].impossible("2 MiB are more than the stream takes")
    (letter,) = letters(desk)
    assert letter.headers["Jetmesh-Error"] == "Reject"
    assert letter.headers["Jetmesh-Message"] == (
        "the output cannot be stored: 2 MiB are more than the stream takes"
    )
    assert desk.wire.verdicts == []
    letter.stored()
    assert desk.wire.verdicts == [Term(reply, "dead-lettered")]
    assert (desk.stats.failed, desk.stats.dead, desk.stats.published) == (1, 1, 0)


def test_an_output_that_is_refused_while_it_is_published_fails_once_as_well() -> None:
    desk = Desk(note)
    desk.wire.fate = lambda sent: sent.impossible() if "desk-log" in sent.subject else None
    reply = desk.deliver()
    (letter,) = letters(desk)
    letter.stored()
    assert desk.wire.verdicts == [Term(reply, "dead-lettered")]


@pytest.mark.parametrize("fates", sorted(set(permutations(["impossible"] * 2 + ["stored"]))))
def test_one_of_several_that_is_impossible_fails_the_delivery_once(fates: Iterable[str]) -> None:
    desk = Desk(note)
    reply = desk.deliver()
    for output, fate in zip(desk.wire.pending, fates, strict=True):
        getattr(output, fate)()
    (letter,) = letters(desk)
    assert desk.wire.verdicts == []
    letter.stored()
    assert desk.wire.verdicts == [Term(reply, "dead-lettered")]
    assert (desk.stats.failed, desk.stats.acked, desk.source.unsettled) == (1, 0, 0)


def test_an_impossible_output_is_not_forgotten_when_the_others_are_stored_after_it() -> None:
    desk = Desk(note)
    reply = desk.deliver()
    first, second, third = desk.wire.pending
    first.impossible()
    (letter,) = letters(desk)
    letter.stored()
    second.stored()
    third.stored()
    assert desk.wire.verdicts == [Term(reply, "dead-lettered")]
    assert desk.stats.published == 2


def test_only_what_is_stored_counts_as_published() -> None:
    desk = Desk(note)
    desk.deliver()
    assert desk.stats.published == 0
    first, second, third = desk.wire.pending
    first.stored()
    second.impossible()
    third.impossible()
    assert desk.stats.published == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit, SystemExit])
def test_a_generator_that_ends_in_anything_has_failed(error: type[BaseException]) -> None:
    def look(placed: Placed) -> Iterable[Noted]:
        yield Noted("a")
        raise error

    desk = Desk(look, policy=Policy(attempts=1))
    desk.deliver()
    (letter,) = desk.wire.published
    assert letter.headers["Jetmesh-Error"] == error.__name__


def test_an_output_that_cannot_be_encoded_is_its_handlers_failure() -> None:
    def look(placed: Placed) -> list[Noted]:
        return [Noted("a"), Noted("b", about=object())]

    desk = Desk(look)
    reply = desk.deliver()
    (verdict,) = desk.wire.sent
    assert isinstance(verdict, Nak)
    assert verdict.reply == reply
    assert desk.stats.last_error.startswith("TypeError: ")


def test_a_single_output_that_cannot_be_encoded_is_its_handlers_failure() -> None:
    def look(placed: Placed) -> Accepted:
        return Accepted("k-1", by=object())

    desk = Desk(look, policy=Policy(attempts=1))
    desk.deliver()
    (letter,) = desk.wire.published
    assert letter.headers["Jetmesh-Error"] == "TypeError"


def test_what_follows_a_decision_and_cannot_be_encoded_fails_and_is_not_lost() -> None:
    def look(placed: Placed) -> Iterable[Accepted | Noted]:
        return [Accepted("k-1"), Noted("a", about=object())]

    desk = Desk(look)
    reply = desk.deliver()
    desk.wire.pending[0].stored()
    (verdict,) = desk.wire.verdicts
    assert isinstance(verdict, Nak)
    assert verdict.reply == reply
    assert (desk.stats.acked, desk.stats.failed, desk.stats.published) == (0, 1, 1)


def test_several_decisions_are_stored_one_after_another() -> None:
    def look(placed: Placed) -> list[Accepted]:
        return [Accepted("a"), Accepted("b")]

    desk = Desk(look)
    reply = desk.deliver()
    desk.wire.pending[0].stored()
    assert [each.subject for each in desk.wire.published] == [
        "desk.accepted.a",
        "desk.accepted.b",
    ]
    assert desk.wire.verdicts == []
    desk.wire.pending[0].stored()
    assert desk.wire.verdicts == [Ack(reply)]
    assert desk.stats.published == 2


def test_what_follows_a_decision_may_be_impossible_too() -> None:
    def look(placed: Placed) -> Iterable[Accepted | Noted]:
        return [Accepted("k-1"), Noted("a"), Noted("b")]

    desk = Desk(look)
    reply = desk.deliver()
    desk.wire.pending[0].stored()
    for output in desk.wire.pending:
        output.impossible()
    (letter,) = letters(desk)
    letter.stored()
    assert desk.wire.verdicts == [Term(reply, "dead-lettered")]
