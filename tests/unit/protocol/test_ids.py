"""Message ids: what is read is what was written."""

from __future__ import annotations

import pytest

from jetmesh.protocol.ids import Cause, cause_of, note_id, note_of, other_id, replay_id

NS = 1_700_000_000_123_456_789
CAUSE = Cause("payments", "charge", "ORDERS", "5", NS)
OLD = "payments:charge:ORDERS:5:payments.captured.p-1"
"""As it was written before ids named the time."""


def test_an_output_names_its_cause() -> None:
    message_id = CAUSE.id("payments.captured.p-1")
    assert message_id == f"payments:charge:ORDERS:5-{NS}:payments.captured.p-1"
    assert cause_of(message_id) == CAUSE
    assert CAUSE.made(message_id)


def test_what_another_sequence_caused_is_not_ours() -> None:
    assert not CAUSE.made(CAUSE._replace(sequence="51").id("payments.captured.p-1"))


def test_what_the_same_sequence_of_a_stream_made_again_caused_is_not_ours() -> None:
    later = CAUSE._replace(stored=NS + 1_000_000)
    assert not CAUSE.made(later.id("payments.captured.p-1"))
    assert later.deadletter(0) != CAUSE.deadletter(0)


def test_an_id_of_an_older_version_names_its_cause_without_a_time_and_is_ours() -> None:
    assert cause_of(OLD) == CAUSE._replace(stored=0)
    assert CAUSE._replace(stored=0).id("payments.captured.p-1") == OLD
    assert CAUSE.made(OLD)


def test_a_time_that_an_older_version_rounded_is_still_ours() -> None:
    rounded = CAUSE._replace(stored=1_700_000_000_123_457_000)
    assert CAUSE.made(rounded.id("payments.captured.p-1"))
    assert rounded.made(CAUSE.id("payments.captured.p-1"))


@pytest.mark.parametrize(
    "message_id",
    ["", "p-1", "a:b:C:5", "a:b:C:five:x", "a:b:C:5-:x", "a:b:C:-5:x", "a:b:C:5-x:x", "a:b:C:²:x"],
)
def test_an_id_of_others_names_no_cause(message_id: str) -> None:
    assert cause_of(message_id) is None


def test_each_replay_of_a_message_may_end_in_a_letter() -> None:
    begin = f"payments:charge:ORDERS:5-{NS}"
    assert CAUSE.deadletter(0) == f"{begin}:deadletter"
    assert CAUSE.deadletter(2) == f"{begin}:deadletter:2"
    assert CAUSE.retry("3") == f"{begin}:retry:3"
    assert CAUSE.refusal() == f"{begin}:refusal"


def test_a_letter_is_replayed_once_unless_somebody_asks_for_more() -> None:
    assert [replay_id(17, NS), replay_id(17, NS, 1)] == [f"replay:17-{NS}", f"replay:17-{NS}:2"]


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("stored", [0, NS])
def test_a_note_says_what_was_done_with_which_letter(before: int, stored: int) -> None:
    noted = note_id(17, stored, "replay", before)
    assert note_of(noted) == note_of(other_id(noted, 4)) == (17, "replay")


@pytest.mark.parametrize("message_id", ["", "done", "done:x:drop", "done:²:drop", "undone:17:drop"])
def test_what_is_no_note_says_nothing(message_id: str) -> None:
    assert note_of(message_id) is None
