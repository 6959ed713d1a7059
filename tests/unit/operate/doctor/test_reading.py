"""What the doctor says of services that cannot take what is stored."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jetmesh.declare import derive
from jetmesh.operate.asking.answers import Folds, Unread
from jetmesh.operate.deadletters.letter import Group
from jetmesh.operate.doctor.diagnosis import findings
from jetmesh.protocol.unread import lacking
from tests.unit.operate.deadletters.test_letter import letter
from tests.unit.operate.doctor.doctored import LACKS, both, facts, instance, unreadable
from tests.unit.operate.doctor.doctored import desk as the_desk
from tests.unit.operate.doctor.doctored import packer as the_packer

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


def test_one_cause_is_one_finding_whoever_skips_it_and_is_not_ready_for_it() -> None:
    """Two dashboards pass over one event: that was four problems."""
    why = lacking("the read model of FACTS", LACKS.count, LACKS.first, LACKS.why)
    folds = [Folds("FACTS", 7, unread=LACKS)]
    desk = instance(read_models=folds, metadata={"problem": f"no broker; {why}"})
    pack = instance(name="packer", id="two", read_models=folds, metadata={"problem": why})
    found = findings(facts({"instances": (desk, pack)}, topology=derive([the_desk, the_packer])))
    told = {each.code: each for each in found}
    assert len(found) == len(told)
    assert told["read-model-skips"].about == "desk and packer"
    assert told["not-ready"].evidence == ("one on machine-1 says: no broker",)
    assert "operator.nk stream rmm FACTS 17" in told["read-model-skips"].remedy


def test_what_came_from_outside_is_a_warning_that_says_so_once() -> None:
    folds = [Folds("FACTS", 7, strange=Unread(2, "FACTS:17", "Expected `str`"))]
    two = instance(name="packer", id="two", read_models=folds)
    seen = {"instances": (instance(read_models=folds), two)}
    (finding,) = findings(facts(seen, topology=derive([the_desk, the_packer])))
    assert (finding.code, finding.severity) == ("strange-from-outside", "warning")
    assert "outside published 2 messages to FACTS" in finding.sentence
    assert finding.about == "desk and packer"


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
