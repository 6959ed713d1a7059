"""One dead letter, the letters that are wanted, and faults: plain values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jetmesh.errors import ContractViolation, JetmeshError, UsageError
from jetmesh.operate.deadletters.desk import describe
from jetmesh.operate.deadletters.letter import Letter, Note, Selection, Selector, number_of
from jetmesh.operate.deadletters.render import state_of
from jetmesh.protocol.times import nanoseconds_of
from jetmesh.transport.stored import StoredMessage

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOON_NS = nanoseconds_of(NOON.isoformat())


def letter(sequence: int = 17, subject: str = "deadletters.pay.charge.p-1", **more: str) -> Letter:
    headers = {
        "Jetmesh-Subject": "orders.validated.p-1",
        "Jetmesh-Stream": "ORDERS",
        "Jetmesh-Sequence": "5",
        "Jetmesh-Stored-At": NOON.isoformat(),
        "Jetmesh-Error": "ValueError",
        "Jetmesh-Fingerprint": "3f2a9c01b7de",
    }
    given = {f"Jetmesh-{name.replace('_', '-').title()}": text for name, text in more.items()}
    message = StoredMessage("DEADLETTERS", sequence, subject, headers | given, b"{}", NOON_NS)
    return Letter(message)


def note(action: Any = "replay", **more: Any) -> Note:
    return Note(action=action, letter=17, by="ana@desk", at=NOON, **more)


@pytest.mark.parametrize("text", ["17", "DEADLETTERS:17", "deadletters:17"])
def test_a_letter_is_named_by_its_number(text: str) -> None:
    assert number_of(text) == 17


@pytest.mark.parametrize("text", ["", "x", "0", "-1", "1.5", "ORDERS:17", "1" * 30, "\u0661"])
def test_what_names_no_letter_is_a_wrong_use(text: str) -> None:
    with pytest.raises(UsageError, match="is not a letter"):
        number_of(text)


def test_a_letter_tells_its_handler_and_key() -> None:
    found = letter(subject="deadletters.pay.charge.a%2Eb%20c")
    assert (found.service, found.handler, found.key) == ("pay", "charge", "a.b c")
    assert letter(subject="deadletters.pay.charge._").key == ""


def test_a_letter_that_somebody_typed_says_what_it_lacks() -> None:
    message = StoredMessage("DEADLETTERS", 9, "deadletters.pay.charge.p-1", {}, b"", NOON_NS)
    typed = Letter(message)
    assert (typed.error, typed.text, typed.attempts, typed.failed_at) == ("unknown", "", 0, NOON)
    with pytest.raises(JetmeshError, match=r"DEADLETTERS:9 .* header 'Jetmesh-Subject' is missing"):
        _ = typed.origin


@pytest.mark.parametrize("text", ["yesterday", "2026-01-01T12:00:00"])
def test_a_time_that_cannot_be_placed_is_when_the_letter_was_stored(text: str) -> None:
    assert letter(failed_at=text).failed_at == NOON


@pytest.mark.parametrize(
    ("selector", "subject"),
    [
        (Selector(), "deadletters.*.*.*"),
        (Selector(service="pay"), "deadletters.pay.*.*"),
        (Selector(handler="charge", key="a.b *"), "deadletters.*.charge.a%2Eb%20%2A"),
        (Selector(service="*.>"), "deadletters.%2A%2E%3E.*.*"),
    ],
)
def test_what_is_wanted_is_one_subject_filter(selector: Selector, subject: str) -> None:
    assert selector.subject == subject


def test_a_key_that_no_event_can_have_is_refused() -> None:
    with pytest.raises(ContractViolation, match="the key has 300 bytes"):
        _ = Selector(key="k" * 300).subject


def test_the_beginning_of_a_fingerprint_is_enough() -> None:
    assert Selector(fingerprint="3f2a").matches(letter())
    assert not Selector(fingerprint="4").matches(letter())
    assert not Selector()
    assert Selector(fingerprint="3")


def test_letters_are_grouped_by_fault_with_the_newest_as_example() -> None:
    selection = Selection()
    later = (NOON + timedelta(hours=1)).isoformat()
    selection.add(letter(17, failed_at=later))
    selection.add(letter(18, failed_at=NOON.isoformat()))
    selection.add(letter(19, error="KeyError"), "replayed")
    first, second = selection.faults()
    assert (first.count, first.counts["open"], first.example.sequence) == (2, 2, 17)
    assert (first.oldest, first.newest) == (NOON, NOON + timedelta(hours=1))
    assert (second.example.error, second.counts["replayed"]) == ("KeyError", 1)
    assert [*selection.sequences] == [17, 18, 19]


def test_what_was_run_counts_more_than_what_was_dropped() -> None:
    assert state_of([]) == "open"
    assert state_of([note("drop")]) == "dropped"
    assert state_of([note("replay"), note("drop")]) == "replayed"


def test_a_note_is_part_of_a_sentence() -> None:
    assert describe(note(why="gateway repaired", corrected=True)) == (
        "replayed with a corrected payload by ana@desk on 2026-01-01 at 12:00:00 UTC "
        "(gateway repaired)"
    )
