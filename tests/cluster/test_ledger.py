"""The accounts notice what they are there for: each of these would be a bug of the mesh."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.cluster.chaos.ledger import Ledger
from tests.cluster.chaos.reader import Stored

DECIDE, CHARGE = "order-validation:decide", "payments:charge"
STORED_NS = 1_700_000_000_123_456_789
TELL, PACK = "notifications:tell_captured", "packing:pack"


def stored(sequence: int, subject: str, message_id: str, *, at: int = 0, **headers: str) -> Stored:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return Stored(sequence, at or sequence, subject, {"Nats-Msg-Id": message_id, **told})


def press(sequence: int, number: int = 1, key: str = "p-1") -> Stored:
    return stored(sequence, f"purchases.created.{key}", f"{key}:{number}")


def outcome(
    sequence: int, kind: str, handler: str, cause: str, *, key: str = "p-1", at: int = 0
) -> Stored:
    return stored(sequence, f"{kind}.{key}", f"{handler}:{cause}-{STORED_NS}:{kind}.{key}", at=at)


def letter(sequence: int, handler: str, origin: int, stream: str = "PURCHASES") -> Stored:
    service, name = handler.split(":")
    return stored(
        sequence,
        f"deadletters.{service}.{name}.p-1",
        f"{handler}:{stream}:{origin}-{STORED_NS}:deadletter",
        Jetmesh_Service=service,
        Jetmesh_Handler=name,
        Jetmesh_Stream=stream,
        Jetmesh_Sequence=str(origin),
        Jetmesh_Error="Boom",
    )


def complete(
    without: Iterable[str] = (),
    poisons: frozenset[str] = frozenset(),
    pending: frozenset[str] = frozenset(),
) -> Ledger:
    """The account of one purchase that went well, but for what is left out."""
    ledger = Ledger(poisons, pending)
    streams = {
        "PURCHASES": press(1),
        "ORDERS": outcome(2, "orders.validated", DECIDE, "PURCHASES:1"),
        "PAYMENTS": outcome(3, "payments.captured", CHARGE, "ORDERS:2"),
        "NOTIFICATIONS": outcome(4, "notifications.sent", TELL, "PAYMENTS:3"),
        "PARCELS": outcome(5, "parcels.packed", PACK, "PURCHASES:1"),
    }
    for stream, message in streams.items():
        if stream not in without:
            ledger.fold(stream, [message])
    if "mail" not in without:
        ledger.post(["<purchase.p-1@example.test>"])
    return ledger


def test_a_purchase_that_went_well_is_complete() -> None:
    ledger = complete()
    assert ledger.unfinished("p-1") == ""
    assert ledger.violations == []
    assert ledger.contradictions() == []


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("PURCHASES", "was acknowledged and is not stored"),
        ("ORDERS", "has no outcome of order validation"),
        ("PAYMENTS", "was validated and has no outcome of payments"),
        ("NOTIFICATIONS", "its customer was not told"),
        ("mail", "its customer was not told"),
        ("PARCELS", "was neither packed nor dead-lettered"),
    ],
)
def test_whatever_is_missing_is_named(missing: str, said: str) -> None:
    assert said in complete(without=[missing]).unfinished("p-1")


def test_a_second_outcome_is_a_violation() -> None:
    ledger = complete()
    ledger.fold("PAYMENTS", [outcome(9, "payments.declined", CHARGE, "ORDERS:2")])
    assert "2 outcomes in PAYMENTS" in ledger.violations[0]


def test_a_mail_sent_again_is_none_but_an_unknown_mail_is() -> None:
    ledger = complete()
    ledger.post(["<purchase.p-1@example.test>"])
    assert ledger.violations == []
    ledger.post(["<something@example.test>"])
    assert ledger.violations == ["a mail has the Message-ID <something@example.test>"]


def test_mails_of_other_facts_are_of_the_orders_account() -> None:
    ledger = complete(without=["mail"])
    ledger.post(["<purchase.expired.p-1@example.test>"])
    assert "its customer was not told" in ledger.unfinished("p-1")
    assert ledger.violations == []


def test_a_payment_that_is_never_decided_is_given_up_and_tells_nobody_of_an_outcome() -> None:
    lost = ["PAYMENTS", "NOTIFICATIONS", "mail"]
    ledger = complete(without=lost, pending=frozenset({"p-1"}))
    assert "has no outcome of payments" in ledger.unfinished("p-1")
    ledger.fold("DEADLETTERS", [letter(1, CHARGE, 2, "ORDERS")])
    assert ledger.unfinished("p-1") == ""
    assert ledger.violations == []


def test_a_purchase_that_was_rejected_and_paid_is_a_contradiction() -> None:
    ledger = complete(without=["ORDERS"])
    ledger.fold("ORDERS", [outcome(2, "orders.rejected", DECIDE, "PURCHASES:1")])
    assert "rejected and paid" in ledger.unfinished("p-1")


def test_an_effect_before_its_cause_is_out_of_order() -> None:
    ledger = complete(without=["PAYMENTS"])
    ledger.fold("PAYMENTS", [outcome(3, "payments.captured", CHARGE, "ORDERS:2", at=1)])
    assert "out of order" in ledger.unfinished("p-1")


def test_a_second_press_needs_an_end_of_its_own() -> None:
    ledger = complete()
    ledger.fold("PURCHASES", [press(7, 2)])
    assert "one press has no end" in ledger.unfinished("p-1")
    ledger.fold("REFUSALS", [stored(1, "refusals.x", f"{DECIDE}:PURCHASES:7:refusal")])
    assert ledger.unfinished("p-1") == ""


def test_a_second_press_stored_before_the_first_is_out_of_order() -> None:
    ledger = complete(without=["PURCHASES"])
    ledger.fold("PURCHASES", [press(1, 2), stored(2, "purchases.created", "p-1:1", at=1)])
    ledger.fold("REFUSALS", [stored(1, "refusals.x", f"{DECIDE}:PURCHASES:2:refusal")])
    assert "second press is stored before its first" in ledger.unfinished("p-1")


def test_a_purchase_dead_lettered_by_a_restart_is_a_violation() -> None:
    ledger = complete()
    ledger.fold("DEADLETTERS", [letter(1, CHARGE, 2, "ORDERS")])
    assert "ORDERS:2 was dead-lettered by payments:charge: Boom" in ledger.violations[0]


def test_done_and_dead_lettered_is_a_contradiction() -> None:
    ledger = complete()
    ledger.fold("DEADLETTERS", [letter(1, DECIDE, 1)])
    assert "dead and decided" in ledger.contradictions()[0]


def test_only_the_poison_may_be_given_up_by_packing() -> None:
    guilty = complete(without=["PARCELS"], poisons=frozenset({"p-1"}))
    guilty.fold("DEADLETTERS", [letter(1, PACK, 1)])
    assert guilty.unfinished("p-1") == ""
    assert guilty.violations == []
    neighbour = complete(without=["PARCELS"])
    neighbour.fold("DEADLETTERS", [letter(1, PACK, 1)])
    assert "p-1 was dead-lettered by packing:pack" in neighbour.violations[0]


def test_garbage_is_dead_lettered_once_by_each_who_reads_it() -> None:
    ledger = Ledger()
    ledger.fold("PURCHASES", [stored(1, "purchases.created", "garbage-1:1")])
    ledger.fold("DEADLETTERS", [letter(1, DECIDE, 1)])
    assert ledger.unfinished_garbage("garbage-1") == (
        "garbage-1 was not dead-lettered by packing:pack"
    )
    ledger.fold("DEADLETTERS", [letter(2, PACK, 1)])
    assert ledger.unfinished_garbage("garbage-1") == ""
    ledger.fold("DEADLETTERS", [letter(3, PACK, 1)])
    assert "dead-lettered twice" in ledger.violations[0]
