"""What the doctor says of services that cannot take what is stored."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jetmesh.operate.asking.answers import Folds, Unread
from jetmesh.operate.deadletters.letter import Group
from jetmesh.operate.doctor.diagnosis import findings
from tests.unit.operate.deadletters.test_letter import letter
from tests.unit.operate.doctor.doctored import LACKS, both, facts, instance, unreadable

FAULT = {"where": "field $.order_id", "error": "ContractViolation", "fingerprint": "f1"}
"""Of an event that nobody here publishes."""


def test_what_a_read_model_lacks_is_told_with_the_first_of_it_and_of_the_worst_instance() -> None:
    few = instance(id="two", read_models=[Folds("FACTS", 7, unread=Unread(3, "FACTS:9", "no"))])
    many = instance(read_models=[Folds("FACTS", 7, unread=LACKS)])
    (finding,) = findings(facts({"instances": (few, many)}))
    assert finding.severity == "problem"
    assert finding.sentence == (
        "A read model of desk shows less than is stored: it skipped 12,269 events of FACTS."
    )
    assert finding.evidence == (
        "the first is FACTS:17: Object missing required field `checked_at`",
        "counted by one on machine-1",
    )
    assert "nats stream rmm FACTS 17" in finding.remedy


@pytest.mark.parametrize(
    "letters",
    [
        unreadable(error="ValueError"),
        unreadable(where="a payload that seems to be XML"),
        replace(unreadable(), example=letter(5, "deadletters.desk.take.p-1", **FAULT)),
    ],
)
def test_letters_of_garbage_or_of_other_faults_are_no_problem_of_contracts(letters: Group) -> None:
    (finding,) = findings(both(letters=(letters,)))
    assert (finding.code, finding.severity) == ("dead-letters", "warning")
