"""The origin of a message on a lane: what is read is what was written, now and before."""

from __future__ import annotations

import pytest

from jetmesh.protocol.lanes import Origin, origin_of

NS = 1_700_000_000_123_456_789
ORIGIN = Origin("orders.validated.p-1", "ORDERS", "5", NS, attempts=2, replays=1)
OLD = {
    "Jetmesh-Subject": "orders.validated.p-1",
    "Jetmesh-Stream": "ORDERS",
    "Jetmesh-Sequence": "5",
    "Jetmesh-Stored-At": "2023-11-14T22:13:20.123457+00:00",
    "Jetmesh-Attempts": "2",
}
"""As it was written before the time was written whole."""


def test_an_origin_carries_its_time_whole() -> None:
    headers = ORIGIN.headers()
    assert headers["Jetmesh-Stored-At"] == "2023-11-14T22:13:20.123456789+00:00"
    assert origin_of(headers) == ORIGIN
    assert ORIGIN.token == f"5-{NS}"


def test_what_an_older_version_wrote_is_the_same_message_and_keeps_one_name() -> None:
    old = origin_of(OLD)
    assert (old.attempts, old.replays) == (2, 0)
    assert old.is_same(ORIGIN)
    assert origin_of(old.headers()) == old


def test_a_message_of_the_stream_before_is_another_one() -> None:
    assert not ORIGIN.is_same(ORIGIN._replace(stored=NS + 1_000_000))
    assert not ORIGIN.is_same(ORIGIN._replace(sequence="6"))
    assert not ORIGIN.is_same(ORIGIN._replace(stream="PAYMENTS"))


@pytest.mark.parametrize(
    "subject",
    ["", ".", "a..b", "a.", "a b", "a.\rb", "a.b\nc", "a\tb", "a.*", "*", ">", "a.>"],
)
def test_what_is_no_subject_is_refused(subject: str) -> None:
    with pytest.raises(ValueError, match="Jetmesh-Subject is no subject"):
        origin_of(OLD | {"Jetmesh-Subject": subject})


@pytest.mark.parametrize("stream", ["", "A B", "A.B", "A:1", "*", ">", "A\rB", "A/B"])
def test_what_is_no_name_of_a_stream_is_refused(stream: str) -> None:
    with pytest.raises(ValueError, match="Jetmesh-Stream is no name of a stream"):
        origin_of(OLD | {"Jetmesh-Stream": stream})


@pytest.mark.parametrize("subject", ["orders", "orders.a*b", "orders.validated.%20", "ü.>b"])
def test_what_a_stream_can_hold_is_a_subject(subject: str) -> None:
    assert origin_of(OLD | {"Jetmesh-Subject": subject}).subject == subject


@pytest.mark.parametrize("name", ["Jetmesh-Sequence", "Jetmesh-Attempts", "Jetmesh-Replays"])
@pytest.mark.parametrize("text", ["", "-1", "five", "1_0", "²", "9" * 21, "9" * 5000])
def test_what_is_no_number_of_the_broker_is_refused(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is no number"):
        origin_of(OLD | {name: text})
