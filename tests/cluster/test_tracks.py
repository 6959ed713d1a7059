"""The account of ordered moves finds what overtook, was left out, came again, or did not wait."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from tests.cluster.chaos.reader import Stored
from tests.cluster.chaos.tracks import Tracks

BAD = {"t-1": 2}


def moved(kind: str, parcel: str, numbers: Sequence[int]) -> list[Stored]:
    return [
        Stored(
            n, n, f"{kind}.{parcel}", {}, json.dumps({"parcel_id": parcel, "number": n}).encode()
        )
        for n in numbers
    ]


def letter(parcel: str, sequence: int = 1, *, end: str = "") -> Stored:
    subject = f"deadletters.tracking.follow.{parcel}{end}"
    return Stored(sequence, sequence, subject, {"Jetmesh-Error": "Reject"})


def handled(*numbers: int, parcel: str = "t-0") -> list[str]:
    return [f"{what},{parcel},{number}" for number in numbers for what in ("begin", "end")]


def tracks(stored: Sequence[int] = (1, 3, 2), parcel: str = "t-0") -> Tracks:
    found = Tracks(BAD)
    found.make(moved("moves.made", parcel, stored))
    return found


def followed(found: Tracks, *numbers: int, parcel: str = "t-0") -> Tracks:
    found.write(handled(*numbers, parcel=parcel))
    found.follow(moved("tracks.followed", parcel, numbers))
    return found


def parked() -> Tracks:
    found = followed(tracks((1, 2, 3), "t-1"), 1, parcel="t-1")
    found.write(["begin,t-1,2"])
    found.bury([letter("t-1")])
    return found


def test_moves_that_were_followed_as_they_are_stored_are_right() -> None:
    found = followed(tracks(), 1, 3, 2)
    assert found.waiting("t-0", 3) == ""
    assert found.violations == []


def test_the_newest_may_come_again_after_a_failure_or_a_crash() -> None:
    found = tracks()
    found.write(["begin,t-0,1", *handled(1, 1, 3), "begin,t-0,3", *handled(2)])
    assert found.violations == []


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (handled(1, 2), "t-0: 2 began after 1, when it was the turn of 3"),
        (handled(1, 3, 1), "t-0: 1 began after 3, when it was the turn of 2"),
        (["begin,t-0,1", "begin,t-0,3"], "t-0: 3 began after 1, when it was the turn of 1"),
        ([*handled(1, 3, 2), *handled(3)], "t-0: 3 began after 2, when it was the turn of none"),
        (handled(7), "t-0: 7 was followed and is not stored"),
    ],
)
def test_what_is_out_of_turn_is_said(lines: list[str], told: str) -> None:
    found = tracks()
    found.write(lines)
    assert told in found.violations[0]


@pytest.mark.parametrize("numbers", [(1, 3), (1, 2), (1, 3, 2, 2), (3, 1, 2)])
def test_what_is_left_out_or_stored_otherwise_is_not_finished(numbers: tuple[int, ...]) -> None:
    found = tracks()
    found.follow(moved("tracks.followed", "t-0", numbers))
    assert found.waiting("t-0", 3) == f"t-0 was followed as {[*numbers]} instead of [1, 3, 2]"


def test_a_move_that_was_asked_and_never_made_is_missed() -> None:
    assert tracks().waiting("t-0", 4) == "t-0: 4 moves were asked, 3 are stored"
    assert "stored twice" in tracks((1, 1)).violations[0]


def test_a_damaged_parcel_waits_and_nothing_behind_it_was_followed() -> None:
    assert parked().waiting("t-1", 3) == ""
    assert parked().violations == []
    without = followed(tracks((1, 2, 3), "t-1"), 1, parcel="t-1")
    assert without.waiting("t-1", 3) == "t-1 has no dead letter of 2"
    went_on = followed(parked(), 3, parcel="t-1")
    assert went_on.waiting("t-1", 3) == "t-1 was followed as [1, 3] instead of [1]"
    assert "3 began after 2, when it was the turn of 2" in went_on.violations[0]


def test_after_a_replay_all_follow_in_order() -> None:
    found = parked()
    found.release("t-1", "replayed")
    found.bury([letter("t-1", end=".done")])
    assert found.waiting("t-1", 3) == "t-1 was followed as [1] instead of [1, 2, 3]"
    assert followed(found, 2, 3, parcel="t-1").waiting("t-1", 3) == ""
    assert found.violations == []


def test_after_a_drop_the_others_follow_in_order() -> None:
    found = parked()
    found.release("t-1", "dropped")
    assert found.waiting("t-1", 3) == "t-1 was followed as [1] instead of [1, 3]"
    assert followed(found, 3, parcel="t-1").waiting("t-1", 3) == ""
    assert found.violations == []


def test_a_letter_of_another_move_is_a_violation() -> None:
    found = parked()
    found.bury([letter("t-1", 2), letter("t-0", 3)])
    assert found.violations == [
        "a move of t-1 was dead-lettered: Reject",
        "a move of t-0 was dead-lettered: Reject",
    ]
