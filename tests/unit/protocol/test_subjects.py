"""Subjects: what is read is what was written."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jetmesh.protocol.lanes import Origin
from jetmesh.protocol.subjects import (
    QUARANTINE,
    RETRY,
    Address,
    address_of,
    deadletter_subject,
    lane_subject,
    note_subject,
    old_subject,
    quarantine_subject,
    refusal_subject,
    retry_subject,
)

ORIGIN = Origin("orders.validated.p-1", "ORDERS", "5", 1_700_000_000_123_456_789)


@pytest.mark.parametrize("write", [deadletter_subject, refusal_subject, lane_subject])
def test_a_subject_tells_handler_and_key(write: Callable[[str, str, str], str]) -> None:
    assert address_of(write("payments", "charge", "p-1")) == Address("payments", "charge", "p-1")


def test_a_retry_and_a_quarantine_mark_have_a_place_for_each_origin() -> None:
    place = "lanes.payments.charge.ORDERS.5-1700000000123456789"
    assert retry_subject("payments", "charge", ORIGIN) == f"{place}.later"
    assert quarantine_subject("payments", "charge", ORIGIN) == f"{place}.suspect"
    assert old_subject(f"{place}.later") == "lanes.payments.charge.ORDERS.5.later"
    for subject, suffix in ((retry_subject, RETRY), (quarantine_subject, QUARANTINE)):
        address = address_of(subject("payments", "charge", ORIGIN))
        assert address == Address("payments", "charge", "", suffix)


@pytest.mark.parametrize(
    "subject", ["deadletters.x", note_subject(deadletter_subject("payments", "charge", "p-1"))]
)
def test_a_note_and_what_others_wrote_has_no_address(subject: str) -> None:
    assert address_of(subject) is None
