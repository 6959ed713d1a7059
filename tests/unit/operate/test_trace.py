"""One stored message as a step of a story."""

from __future__ import annotations

from datetime import UTC, datetime

from jetmesh.declare import derive
from jetmesh.operate.trace import _step
from jetmesh.transport.stored import StoredMessage

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def letter(headers: dict[str, str]) -> StoredMessage:
    return StoredMessage("DEADLETTERS", 9, "deadletters.pay.charge.p-1", headers, b"", NOON)


def test_a_dead_letter_names_its_message_and_its_error() -> None:
    headers = {
        "Jetmesh-Stream": "ORDERS",
        "Jetmesh-Sequence": "5",
        "Jetmesh-Error": "ValueError",
        "Jetmesh-Message": "no luck",
        "Jetmesh-Attempts": "1",
    }
    step = _step(derive([]), letter(headers))
    assert (step.id, step.cause, step.by) == ("DEADLETTERS:9", "ORDERS:5", "pay.charge")
    assert step.summary == "ValueError: no luck (1 attempt)"


def test_a_letter_that_somebody_typed_has_no_cause() -> None:
    step = _step(derive([]), letter({}))
    assert (step.cause, step.by) == ("", "pay.charge")
