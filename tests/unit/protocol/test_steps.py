"""What a state knows of its inputs: each is new, in it, or comes again, and never two of these."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from jetmesh.protocol.steps import (
    FULL,
    LOWEST,
    Applied,
    Floor,
    Following,
    Full,
    Input,
    applied_of,
    applied_text,
    following_of,
    following_text,
)
from tests.examples import examples

SOURCE = "payments.captured"
SECOND = 1_000_000_000


def message(sequence: int, stored: int = 0) -> Input:
    return Input(SOURCE, sequence, stored or sequence * SECOND)


def test_an_input_that_was_applied_is_known_and_another_one_of_its_sequence_is_new() -> None:
    """A stream that was made again counts from 1 once more."""
    applied = Applied().applied(message(7), Floor())
    assert applied.has(message(7))
    assert not applied.has(message(7, stored=9 * SECOND))
    assert not applied.has(Input("payments.refunded", 7, 7 * SECOND))


def test_what_lies_below_the_floor_needs_no_place_of_its_own() -> None:
    applied = Applied()
    for sequence in range(1, 10):
        applied = applied.applied(message(sequence), Floor(sequence - 1, sequence * SECOND))
    assert all(applied.has(message(sequence)) for sequence in range(1, 10))
    assert len(applied.inputs[SOURCE]) == 1


def test_a_message_that_was_stored_after_the_floor_was_known_is_above_it() -> None:
    applied = Applied().applied(message(100), Floor(99, 100 * SECOND))
    assert applied.has(message(50))
    assert not applied.has(message(50, stored=101 * SECOND))


def test_a_floor_that_is_lower_is_that_of_a_durable_made_again() -> None:
    applied = Applied().applied(message(100), Floor(99, 100 * SECOND))
    again = applied.applied(message(101), Floor(3, 200 * SECOND))
    assert again.has(message(50))
    assert again.has(message(100))


def test_a_floor_that_is_lower_holds_once_the_stream_is_another_one() -> None:
    applied = Applied().applied(message(100), Floor(99, 100 * SECOND))
    applied = applied.applied(message(1, stored=150 * SECOND), Floor(99, 100 * SECOND))
    applied = applied.applied(message(5, stored=160 * SECOND), Floor(4, 170 * SECOND))
    assert applied.floors[SOURCE] == Floor(4, 170 * SECOND)
    assert applied.has(message(2, stored=151 * SECOND))
    assert not applied.has(message(50, stored=180 * SECOND))


def test_what_failed_waits_below_the_floor_too_and_is_applied_once() -> None:
    applied = Applied().failed(message(3))
    assert applied.failed(message(3)) is applied
    applied = applied.applied(message(9), Floor(8, 9 * SECOND))
    assert applied.is_waiting(message(3))
    applied = applied.applied(message(3), Floor(8, 9 * SECOND))
    assert not applied.is_waiting(message(3))
    assert applied.has(message(3))


def test_a_key_whose_floor_stands_still_has_no_room_for_ever() -> None:
    applied = Applied()
    for sequence in range(1, FULL + 1):
        applied = applied.applied(message(sequence), Floor())
    with pytest.raises(Full):
        applied.applied(message(FULL + 1), Floor())
    assert applied.applied(message(FULL), Floor()).inputs == applied.inputs
    higher = applied.applied(message(FULL + 1), Floor(200, 1_000 * SECOND))
    assert len(higher.inputs[SOURCE]) == FULL + 1 - 200


def test_a_key_without_room_has_it_for_the_oldest_input_whatever_came_before() -> None:
    """The floor may wait for that one, so it must not wait for the floor."""
    applied = Applied()
    for sequence in range(2 * FULL, 3 * FULL):
        applied = applied.applied(message(sequence), Floor())
    with pytest.raises(Full):
        applied.applied(message(3 * FULL), Floor())
    for sequence in range(1, LOWEST + 1):
        applied = applied.applied(message(sequence), Floor())
    with pytest.raises(Full):
        applied.applied(message(LOWEST + 1), Floor())
    applied = applied.applied(message(LOWEST + 1), Floor(LOWEST, 1_000 * SECOND))
    assert applied.size == FULL + 1


def test_a_key_waits_when_too_many_of_its_inputs_do() -> None:
    applied = Applied()
    for sequence in range(1, FULL + 1):
        applied = applied.failed(message(sequence))
    with pytest.raises(Full):
        applied.failed(message(FULL + 1))


def test_of_those_that_came_late_the_newest_are_known() -> None:
    applied = Applied().applied(message(1), Floor(500, 501 * SECOND), late=True)
    assert applied.came_late(message(1))
    assert not applied.came_late(message(2))
    for sequence in range(2, 100):
        applied = applied.applied(message(sequence), Floor(), late=True)
    assert not applied.came_late(message(1))
    assert applied.came_late(message(99))


@given(st.lists(st.integers(1, 50)), st.lists(st.integers(1, 50)))
def test_what_is_written_is_read(done: list[int], waiting: list[int]) -> None:
    applied = Applied()
    for sequence in done:
        applied = applied.applied(message(sequence), Floor(sequence // 2, sequence * SECOND))
    for sequence in waiting:
        applied = applied.failed(message(sequence))
    assert applied_of(applied_text(applied)) == applied


def test_what_follows_is_written_with_its_payload_as_it_is() -> None:
    output = Following("tiers.reached.c-1", "id", msgspec.Raw(b'{"name":"a\\nb\xc3\xa4"}'))
    [found] = following_of(following_text([output]))
    assert (found.subject, found.id, bytes(found.payload)) == (
        output.subject,
        output.id,
        bytes(output.payload),
    )
    assert "\n" not in following_text([output])
    assert following_of("") == ()
    assert applied_of("") == Applied()


class Bookkeeping(RuleBasedStateMachine):
    """Inputs are handled, fail, come again and are settled in any order; the floor follows."""

    def __init__(self) -> None:
        super().__init__()
        self.applied = Applied()
        self.taken: set[int] = set()
        """In the state."""
        self.waiting: set[int] = set()
        self.settled: set[int] = set()
        """Acked, or on their way to be: what the floor may pass."""
        self.known = Floor()
        """The floor that this process was told; it may be an old one."""

    @rule(sequence=st.integers(1, 40))
    def arrives(self, sequence: int) -> None:
        it = message(sequence)
        if not self.applied.has(it) and not self.applied.is_waiting(it):
            assert sequence not in self.taken
            self.applied = self.applied.applied(it, self.known)
            self.taken.add(sequence)
        self.settled.add(sequence)

    @rule(sequence=st.integers(1, 40))
    def fails(self, sequence: int) -> None:
        it = message(sequence)
        if not self.applied.has(it) and not self.applied.is_waiting(it):
            self.applied = self.applied.failed(it)
            self.waiting.add(sequence)
        self.settled.add(sequence)

    @precondition(lambda self: self.waiting)
    @rule(which=st.integers(0, 100))
    def comes_again(self, which: int) -> None:
        sequence = sorted(self.waiting)[which % len(self.waiting)]
        assert self.applied.is_waiting(message(sequence))
        self.applied = self.applied.applied(message(sequence), self.known)
        self.waiting.remove(sequence)
        assert sequence not in self.taken
        self.taken.add(sequence)

    @rule(behind=st.integers(0, 5))
    def the_floor_is_told(self, behind: int) -> None:
        floor = 0
        while floor + 1 in self.settled:
            floor += 1
        self.known = Floor(max(0, floor - behind), 1_000 * SECOND + len(self.settled))

    @invariant()
    def each_is_new_in_the_state_or_comes_again(self) -> None:
        for sequence in range(1, 41):
            it = message(sequence)
            assert self.applied.is_waiting(it) == (sequence in self.waiting)
            if sequence in self.taken:
                assert self.applied.has(it)
            elif sequence not in self.waiting:
                assert not self.applied.has(it)


Bookkeeping.TestCase.settings = settings(max_examples=examples(100), deadline=None)
TestBookkeeping = Bookkeeping.TestCase
