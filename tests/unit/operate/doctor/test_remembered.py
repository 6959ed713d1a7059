"""What the doctor says of keys that wait, and leaves unsaid of states that are well."""

from __future__ import annotations

from jetmesh.operate.doctor.diagnosis import findings
from tests.unit.operate.doctor.doctored import REMEMBERED, remembering


def test_the_key_that_remembers_most_is_named() -> None:
    [found] = findings(REMEMBERED["state-waits"]())
    assert found.sentence.startswith("2 keys of a.b wait")
    assert found.evidence == ("c-2 has 12 above the floor, 256 on lanes or in letters",)


def test_a_state_that_is_kept_for_ever_is_well() -> None:
    assert "state-expires" not in [each.code for each in findings(remembering())]
