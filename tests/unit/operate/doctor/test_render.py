"""A diagnosis on the screen and as JSON, the words in it, and what a look computes itself."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
from rich.console import Console

from jetmesh.cli.commands.doctor import (
    BROKER_PROBLEM,
    OK,
    PROBLEM_FOUND,
    Options,
    Runner,
    exit_code,
)
from jetmesh.declare import Policy
from jetmesh.operate.asking.answers import DurableInfo, Instance
from jetmesh.operate.doctor import render as renderer
from jetmesh.operate.doctor.checks.streams import longest_retry
from jetmesh.operate.doctor.diagnosis import findings
from jetmesh.operate.doctor.facts import BrokerProblem, Facts
from jetmesh.operate.doctor.finding import Finding
from jetmesh.operate.doctor.own_streams import by_lane
from jetmesh.operate.doctor.survey import Target, ahead
from jetmesh.operate.humanize import counted, listed, messages_wait, size, span
from jetmesh.settings import NatsSettings
from tests.unit.operate.doctor.doctored import NOON, durable, facts, flow, said

WAITS = {"num_waiting": 0, "num_pending": 12}


def told(facts: Facts, found: Sequence[Finding]) -> str:
    console = Console(file=io.StringIO(), width=200, highlight=False)
    console.print(renderer.render(facts, found))
    return str(console.file.getvalue())  # type: ignore[attr-defined]  # it is the StringIO above


def test_a_clean_bill_of_health_is_short_and_says_what_it_covers() -> None:
    text = told(facts(), [])
    assert len(text.split("\n\n")) == 3
    assert len(text.strip().splitlines()) == 5
    assert "✓ All is well." in text
    assert "6 streams, 2 durables, 1 service, 1 instance, 0 dead letters" in text
    assert "twice, 5 s apart" in text
    assert "once, so growth was not judged" in told(replace(facts(), before=None), [])


def test_findings_are_grouped_with_evidence_and_remedy() -> None:
    seen = flow(WAITS, instances=())
    lines = [line.strip() for line in told(seen, findings(seen)).splitlines()]
    at = lines.index("1 problem")
    assert lines[at + 1].startswith("✗ Nobody pulls DOCTORED/desk-take")
    assert lines[at + 3] == "no instance of desk answers"
    assert lines[at + 4].startswith("→ Start desk")
    assert "All is well" not in "".join(lines)


def test_findings_with_one_remedy_are_told_together() -> None:
    seen = facts({"silent": {"ORDERS": "no answer", "PAYMENTS": "no answer"}})
    text = told(seen, findings(seen))
    assert "2 problems" in text
    assert "The stream PAYMENTS does not answer." in text
    assert text.count("→") == 1


def test_notes_do_not_spoil_a_clean_bill_of_health() -> None:
    seen = facts({"refusals": {"desk.take": 3}})
    text = told(seen, findings(seen))
    assert "1 note" in text
    assert "✓ All is well." in text


def test_what_others_wrote_cannot_move_the_cursor() -> None:
    evil = Finding("x", "note", "a", "It says \x1b[2J.", ("\x1b]0;title\x07",), "Nothing.")
    assert "\x1b" not in told(facts(), [evil])


def test_a_broker_that_cannot_be_asked_is_not_looked_at() -> None:
    seen = facts(broker_problem=BrokerProblem("absent", "nothing is listening"))
    text = told(seen, findings(seen))
    assert "No broker answers at nats://127.0.0.1:4222." in text
    assert "Looked at" not in text


def test_json_holds_every_word_of_a_finding() -> None:
    seen = flow(WAITS, instances=())
    data = json.loads(msgspec.json.encode(renderer.as_data(seen, findings(seen))))
    (finding,) = data["findings"]
    assert finding["code"] == "nobody-pulls"
    assert (finding["severity"], finding["about"]) == ("problem", "DOCTORED/desk-take")
    assert finding["evidence"]
    assert finding["remedy"]
    assert data["found"] == {"problem": 1, "warning": 0, "note": 0}
    assert (data["asked"], data["between_looks"]) == (True, 5.0)
    assert data["looked_at"]["streams"] == 6


@pytest.mark.parametrize(
    ("severity", "code", "strict"),
    [
        ("", OK, OK),
        ("note", OK, OK),
        ("warning", OK, PROBLEM_FOUND),
        ("problem", PROBLEM_FOUND, PROBLEM_FOUND),
    ],
)
def test_the_exit_code_tells_scripts_the_worst(severity: str, code: int, strict: int) -> None:
    found = [Finding("x", severity, "a", "It is.", (), "Do.")] if severity else []  # type: ignore[arg-type]  # as parametrized
    assert exit_code(facts(), found, strict=False) == code
    assert exit_code(facts(), found, strict=True) == strict
    unasked = facts(broker_problem=BrokerProblem("absent", "because"))
    assert exit_code(unasked, found, strict=False) == BROKER_PROBLEM


def test_watching_a_file_prints_only_what_changed(capsys: pytest.CaptureFixture[str]) -> None:
    options = Options(once=False, interval=5, watch=5, strict=False, as_json=False)
    runner = Runner(Target(NatsSettings(), facts().topology), options)
    for seen in (facts(), facts(), flow(WAITS, instances=()), flow(WAITS, instances=()), facts()):
        runner.print_change(seen)
    text = capsys.readouterr().out
    assert text.count("Looked at") == 3
    assert text.count("All is well") == 2


def test_numbers_are_said_as_people_say_them() -> None:
    assert [counted(1, "message"), counted(12034, "message")] == ["1 message", "12,034 messages"]
    assert [messages_wait(1), messages_wait(2)] == ["1 message waits", "2 messages wait"]
    spans = [span(seconds) for seconds in (0, 0.42, 5, 95, 120, 4000, 7200, 200_000)]
    assert spans == ["0 s", "0.42 s", "5 s", "95 s", "2 min", "67 min", "2 h", "2 days"]
    assert [size(count) for count in (0, 512, 3_200_000, 54_900_728_832, 1 << 50)] == [
        *("0 B", "512 B", "3.05 MiB", "51.1 GiB", "1,024 TiB")
    ]
    assert [listed([]), listed(["A"]), listed(["A", "B"])] == ["", "A", "A and B"]
    assert listed(list("ABCDEFGH")) == "A, B, C, D, E, F and 2 more"


def test_the_longest_retry_counts_every_attempt_and_every_delay() -> None:
    policy = Policy()
    assert longest_retry(policy, 20) == 5 * 20 + 0.5 + 1 + 2 + 4
    assert longest_retry(policy, 0) == 7.5
    many = msgspec.structs.replace(policy, attempts=1000)
    delays = [many.delay(attempt, 1.0) for attempt in range(1, 1000)]
    assert longest_retry(many, 1) == pytest.approx(1000 + sum(delays))
    assert longest_retry(msgspec.structs.replace(policy, max_age=30), 20) == 50


def test_a_clock_differs_by_what_the_way_of_the_answer_cannot_explain() -> None:
    asked, answered = NOON, NOON + timedelta(seconds=4)
    assert ahead(NOON + timedelta(seconds=3), asked, answered) == 0
    assert ahead(NOON + timedelta(seconds=9), asked, answered) == 5
    assert ahead(NOON - timedelta(seconds=2), asked, answered) == -2


def test_how_long_nothing_moved_is_told_by_the_servers_clock() -> None:
    assert durable(ts=said(9)).idle == pytest.approx(10)
    text = '{"stream_name": "S", "name": "d", "config": {}, "ts": "2026-01-01T12:00:00Z"}'
    assert msgspec.json.decode(text, type=DurableInfo).idle is None


def test_what_lies_in_lanes_is_sorted_by_its_subject() -> None:
    subjects = {
        "lanes.desk.take.p-1": 2,
        "lanes.desk.take._": 1,
        "lanes.desk.take.ORDERS.7.later": 1,
        "lanes.desk.take.ORDERS.8.suspect": 1,
        "lanes.other.read.p-1": 1,
        "lanes.typed.by.hand.x": 1,
    }
    found = by_lane(subjects)
    lane, marks = found["desk", "take"]
    assert (lane.due, lane.scheduled, marks) == (3, 1, ["lanes.desk.take.ORDERS.8.suspect"])
    assert set(found) == {("desk", "take"), ("other", "read")}


def test_an_instance_of_another_library_is_read_as_well() -> None:
    answer = '{"name": "x", "id": "1", "version": "1", "metadata": null, "endpoints": null}'
    instance = msgspec.json.decode(answer, type=Instance)
    assert (instance.is_ours, instance.problem, instance.place) == (False, "", "1")
