"""One stored message as a step of a story."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from msgspec import Struct

from jetmesh import Service, event
from jetmesh.declare import derive
from jetmesh.operate.trace.step import step_of
from jetmesh.protocol.times import nanoseconds_of
from jetmesh.transport.stored import StoredMessage

NOON = nanoseconds_of("2026-01-01T12:00:00Z")


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
    step = step_of(derive([]), letter(headers))
    assert (step.id, step.cause, step.by) == ("DEADLETTERS:9", "ORDERS:5", "pay.charge")
    assert step.summary == "ValueError: no luck (1 attempt)"


def test_a_letter_that_somebody_typed_has_no_cause() -> None:
    step = step_of(derive([]), letter({}))
    assert (step.cause, step.by) == ("", "pay.charge")


def test_a_letter_that_names_no_stream_has_no_cause() -> None:
    typed = letter({"Jetmesh-Stream": "A B", "Jetmesh-Sequence": "5"})
    assert step_of(derive([]), typed).cause == ""


def test_a_step_follows_only_what_was_stored_when_its_cause_was() -> None:
    headers = {
        "Jetmesh-Subject": "orders.validated.p-1",
        "Jetmesh-Stream": "ORDERS",
        "Jetmesh-Sequence": "5",
        "Jetmesh-Stored-At": "2026-01-01T12:00:00.000000001Z",
    }
    step = step_of(derive([]), letter(headers))
    assert (step.cause, step.place) == (f"ORDERS:5-{NOON + 1}", "ORDERS:5")
    assert step.may_follow(NOON + 1)
    assert not step.may_follow(NOON + 1_000_000)
    assert replace(step, cause="ORDERS:5").may_follow(NOON + 1_000_000)


def test_what_cannot_be_read_says_where_its_letter_is_found() -> None:
    """That has no key, so it stands in no story."""

    @event("traced.typed", key="id")
    class Typed(Struct, frozen=True):
        id: str
        amount: int

    service = Service("traced")

    def take(typed: Any) -> None: ...

    take.__annotations__["typed"] = Typed
    service.on(Typed)(take)
    message = StoredMessage("TRACED", 1, "traced.typed", {}, b'{"id":"p-1"}', NOON)
    step = step_of(derive([service]), message)
    assert "jetmesh deadletters ls" in step.summary
