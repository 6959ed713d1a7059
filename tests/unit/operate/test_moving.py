"""By what a message on a lane is known when it is copied to another stream, and its headers."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from jetmesh import wire
from jetmesh.operate.apply.moving import headers_of, identity_of
from jetmesh.protocol.ids import Cause
from jetmesh.protocol.lanes import Origin, schedule
from jetmesh.transport.stored import StoredMessage

STORED = 1_700_000_000_123_456_789
DUE = "lanes.pay.charge.p-1"


def lane_message(origin: Origin, subject: str = DUE, **more: str) -> StoredMessage:
    headers = {**origin.headers(), **{name.replace("_", "-"): text for name, text in more.items()}}
    return StoredMessage("LANES", 9, subject, headers, b"{}", STORED + 5)


def waiting(origin: Origin) -> StoredMessage:
    """A retry before its time, as services write it."""
    cause = Cause("pay", "charge", origin.stream, origin.sequence, origin.stored)
    given = {"Nats-Msg-Id": cause.retry("1"), "X-Given": "a", **schedule(DUE, datetime.now(UTC))}
    subject = f"lanes.pay.charge.{origin.stream}.{origin.token}.later"
    return lane_message(origin, subject, **given)


def fired(origin: Origin) -> StoredMessage:
    """The same when its time came, as the server stores it."""
    return lane_message(
        origin, X_Given="a", Nats_Scheduler="lanes.x", **{"Nats-Schedule-Next": "purge"}
    )


@pytest.mark.parametrize("attempts", [0, 1, 12])
@pytest.mark.parametrize("replays", [0, 2])
def test_a_retry_and_what_the_server_makes_of_it_are_one(attempts: int, replays: int) -> None:
    origin = Origin("orders.validated.p-1", "ORDERS", "17", STORED, attempts, replays)
    waits, due = waiting(origin), fired(origin)
    assert identity_of(waits) == identity_of(due)
    assert headers_of(waits)["Nats-Msg-Id"] == headers_of(due)["Nats-Msg-Id"] == identity_of(due)


def test_another_attempt_replay_handler_or_message_is_another_one() -> None:
    origin = Origin("orders.validated.p-1", "ORDERS", "17", STORED, 1, 0)
    others = [
        fired(origin._replace(attempts=2)),
        fired(origin._replace(replays=1)),
        fired(origin._replace(sequence="18")),
        fired(origin._replace(stored=STORED + 1_000_000)),
        lane_message(origin, "lanes.pay.refund.p-1"),
    ]
    assert len({identity_of(each) for each in [fired(origin), *others]}) == 6


def test_a_copy_has_all_headers_but_the_server_s() -> None:
    origin = Origin("orders.validated.p-1", "ORDERS", "17", STORED, 1, 0)
    waits, due = headers_of(waiting(origin)), headers_of(fired(origin))
    assert set(due) == {*origin.headers(), "X-Given", "Nats-Msg-Id"}
    assert set(waits) == {*due, "Nats-Schedule", "Nats-Schedule-Target"}


def test_what_was_replayed_keeps_its_id() -> None:
    origin = Origin("orders.validated.p-1", "ORDERS", "17", STORED, 0, 1)
    replayed = lane_message(origin, Nats_Msg_Id="replay:3-5")
    assert headers_of(replayed)["Nats-Msg-Id"] == "replay:3-5"


def test_what_somebody_typed_is_known_by_its_place() -> None:
    typed = StoredMessage("LANES", 9, DUE, {}, b"x", STORED)
    copy = StoredMessage("LANES_pay", 1, DUE, headers_of(typed), b"x", STORED + 9)
    assert identity_of(typed) == identity_of(copy) == f"LANES:9-{STORED}"


def test_a_retry_that_just_fitted_fits_still() -> None:
    waits = waiting(Origin("orders.validated.p-1", "ORDERS", "17", STORED, 1, 0))
    assert len(wire.block(headers_of(waits))) <= len(wire.block(waits.headers))
