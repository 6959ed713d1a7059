"""What the desk shows: faults, one letter, and nothing that a terminal obeys."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from msgspec import Struct
from rich.text import Text

from jetmesh.operate.deadletters import render
from jetmesh.operate.deadletters.letter import Selection
from jetmesh.operate.deadletters.payload import PayloadView
from jetmesh.operate.deadletters.store import HistoryEntry
from tests.unit.operate.deadletters.test_letter import NOON, letter, note

SAME = "fingerprint 3f2a9c01b7de"


class Known(Struct, frozen=True):
    """A contract without anything sensitive."""


def plain(lines: Iterable[Text]) -> list[str]:
    return [line.plain for line in lines]


def test_faults_name_the_place_the_span_and_what_to_do_next() -> None:
    selection = Selection()
    late = (NOON + timedelta(minutes=5)).isoformat()
    selection.add(letter(17, where="shop/pay.py:88 in charge", message="no luck"))
    selection.add(letter(18, where="shop/pay.py:88 in charge", message="no luck", failed_at=late))
    assert plain(render.faults(selection, every=False)) == [
        "        2  pay.charge  ValueError  at shop/pay.py:88 in charge",
        "           no luck",
        f"           2026-01-01 12:00:00 to 12:05:00 UTC, newest DEADLETTERS:18, key p-1, {SAME}",
        "",
        "2 open letters of 1 fault.",
        "jetmesh deadletters show 18",
        "jetmesh deadletters replay --fingerprint 3f2a9c01b7de --dry-run",
    ]


def test_with_all_each_fault_says_what_was_done() -> None:
    selection = Selection()
    selection.add(letter(17), "replayed")
    selection.add(letter(18), "dropped")
    shown = plain(render.faults(selection, every=True))
    assert "           1 replayed, 1 dropped" in shown
    assert "2 letters of 1 fault." in shown
    assert not any("replay --fingerprint" in line for line in shown)


def test_nothing_is_told_too() -> None:
    assert plain(render.faults(Selection(), every=False)) == ["No dead letter is open."]
    assert plain(render.faults(Selection(), every=True)) == ["There are no dead letters."]


def test_one_letter_shows_headers_payload_and_story() -> None:
    first, second = letter(17), letter(30, replays="1", error="KeyError", attempts="3")
    entries = [
        HistoryEntry(first, (note(lane_sequence=40, why="gateway repaired"),)),
        HistoryEntry(second, ()),
    ]
    payload = PayloadView("JSON", '{\n  "a": 1\n}')
    shown = plain(render.details(entries, second, payload, (Known,)))
    assert shown[0] == "DEADLETTERS:30  open"
    assert "  Jetmesh-Sequence     5" in shown
    assert "Payload  without what contracts mark as sensitive" in shown
    assert '    "a": 1' in shown
    assert plain(render.history(entries, second, "")) == [
        "  2026-01-01 12:00:00  DEADLETTERS:17  ValueError:  (0 attempts)",
        "    replayed by ana@desk on 2026-01-01 at 12:00:00 UTC (gateway repaired), as LANES:40",
        "  2026-01-01 12:00:00  DEADLETTERS:30  KeyError:  (3 attempts)  this letter",
        "    nothing was done about it yet",
    ]


def test_a_replayed_letter_says_whether_it_still_waits() -> None:
    entries = [HistoryEntry(letter(), (note(),))]
    waits = plain(render.history(entries, letter(), "it waits as LANES:40"))
    assert waits[-1] == "    it waits as LANES:40"
    over = plain(render.history(entries, letter(), ""))
    assert over[-1] == "    it was handled, and there is no newer letter"


def test_nothing_of_a_letter_is_obeyed_by_a_terminal() -> None:
    rude = "\x1b[2J\u202e"
    odd = letter(
        subject="deadletters.pay\x07.charge.%1B",
        error=rude,
        message=rude,
        where=rude,
        fingerprint=rude,
    )
    selection = Selection()
    selection.add(odd)
    entries = [HistoryEntry(odd, (note(why=rude),))]
    lines = [
        *render.faults(selection, every=True),
        *render.summary(selection),
        render.one_line(odd, "open"),
        *render.details(entries, odd, PayloadView("text", rude)),
        *render.history(entries, odd, ""),
    ]
    assert [line for line in plain(lines) if not line.isprintable()] == []


def test_addresses_in_headers_are_masked() -> None:
    entries = [HistoryEntry(letter(by="customer@example.test"), ())]
    shown = plain(render.details(entries, entries[0].letter, PayloadView("empty", ""), (Known,)))
    assert any(line.endswith("•••") for line in shown)
    assert not any("example.test" in line for line in shown)


def test_the_summary_before_a_change_is_short() -> None:
    selection = Selection()
    for number in range(15):
        selection.add(letter(number + 1, error=f"Error{number}"))
    lines = plain(render.summary(selection))
    assert len(lines) == 11
    assert lines[-1].endswith("and 5 faults more")
