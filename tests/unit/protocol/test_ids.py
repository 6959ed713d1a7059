"""Message ids: what is read is what was written."""

from __future__ import annotations

import pytest

from jetmesh.protocol.ids import Cause, cause_of, note_id, note_of, replay_id

CAUSE = Cause("payments", "charge", "ORDERS", "5")


def test_an_output_names_its_cause() -> None:
    message_id = CAUSE.id("payments.captured.p-1")
    assert message_id == "payments:charge:ORDERS:5:payments.captured.p-1"
    assert cause_of(message_id) == CAUSE
    assert CAUSE.made(message_id)


def test_what_another_sequence_caused_is_not_ours() -> None:
    assert not CAUSE.made(CAUSE._replace(sequence="51").id("payments.captured.p-1"))


@pytest.mark.parametrize("message_id", ["", "p-1", "a:b:C:5", "a:b:C:five:subject"])
def test_an_id_of_others_names_no_cause(message_id: str) -> None:
    assert cause_of(message_id) is None


def test_each_replay_of_a_message_may_end_in_a_letter() -> None:
    assert CAUSE.deadletter(0) == "payments:charge:ORDERS:5:deadletter"
    assert CAUSE.deadletter(2) == "payments:charge:ORDERS:5:deadletter:2"
    assert CAUSE.retry("3") == "payments:charge:ORDERS:5:retry:3"
    assert CAUSE.refusal() == "payments:charge:ORDERS:5:refusal"


def test_a_letter_is_replayed_once_unless_somebody_asks_for_more() -> None:
    assert [replay_id(17), replay_id(17, 1)] == ["replay:17", "replay:17:2"]


@pytest.mark.parametrize("before", [0, 1])
def test_a_note_says_what_was_done_with_which_letter(before: int) -> None:
    assert note_of(note_id(17, "replay", before)) == (17, "replay")


@pytest.mark.parametrize("message_id", ["", "done", "done:x:drop", "done:²:drop", "undone:17:drop"])
def test_what_is_no_note_says_nothing(message_id: str) -> None:
    assert note_of(message_id) is None
