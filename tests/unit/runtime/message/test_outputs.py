"""How an output becomes a message, and what a handler may return."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from jetmesh import ContractViolation, Service, event, wire
from jetmesh.declare import unescape_key
from jetmesh.runtime.message.outputs import Outputs
from jetmesh.runtime.message.returned import ConflictingOutputs, UndeclaredOutput


@event("outputs-in.placed", key="order_id")
class Placed(Struct, frozen=True):
    order_id: str


@event("outputs.accepted", key="order_id", decision="outputs.*")
class Accepted(Struct, frozen=True):
    order_id: str


@event("outputs.refused", key="order_id", decision="outputs.*")
class Refused(Struct, frozen=True):
    order_id: str


@event("outputs-log.noted", key="note_id")
class Noted(Struct, frozen=True):
    note_id: str


@event("outputs-log.ticked")
class Ticked(Struct, frozen=True):
    number: int


service = Service("outputs-service")


@service.on(Placed)
def decide(placed: Placed) -> Iterable[Accepted | Refused | Noted | Ticked] | None:
    """Return nothing; its annotation is what these tests need."""


OUTPUTS = Outputs(service.handlers[0])


def message(value: Any) -> tuple[str, dict[str, str], bytes]:
    subject, headers, payload = OUTPUTS.by_type[type(value)].message(value, b"17")
    return subject.decode(), wire.parse(headers).values, payload


def test_a_decision_names_its_cause_its_outcome_and_its_guard() -> None:
    assert message(Accepted("p-1")) == (
        "outputs.accepted.p-1",
        {
            "Nats-Msg-Id": "outputs-service:decide:OUTPUTS_IN:17:outputs.accepted.p-1",
            "Nats-Expected-Last-Subject-Sequence": "0",
            "Nats-Expected-Last-Subject-Sequence-Subject": "outputs.*.p-1",
        },
        b'{"order_id":"p-1"}',
    )


def test_two_outcomes_of_one_cause_differ_in_id_and_share_the_guard() -> None:
    """Three servers de-duplicate before they guard: one id for both would hide the refusal."""
    _, accepted, _ = message(Accepted("p-1"))
    _, refused, _ = message(Refused("p-1"))
    guard = "Nats-Expected-Last-Subject-Sequence-Subject"
    assert accepted["Nats-Msg-Id"] != refused["Nats-Msg-Id"]
    assert accepted[guard] == refused[guard]


def test_an_event_outside_a_decision_has_an_id_and_no_guard() -> None:
    subject, headers, _ = message(Noted("n-1"))
    assert subject == "outputs-log.noted.n-1"
    assert headers == {"Nats-Msg-Id": "outputs-service:decide:OUTPUTS_IN:17:outputs-log.noted.n-1"}


def test_an_event_without_a_key_is_published_on_its_subject() -> None:
    subject, headers, _ = message(Ticked(3))
    assert subject == "outputs-log.ticked"
    assert headers == {"Nats-Msg-Id": "outputs-service:decide:OUTPUTS_IN:17:outputs-log.ticked"}


@pytest.mark.parametrize("key", ["a.b", "a b", "*", ">", "ü-1", "100%b", "%s", "a\r\nNats-X: 1"])
def test_a_key_is_one_escaped_token_in_subject_id_and_guard(key: str) -> None:
    subject, headers, payload = message(Accepted(key))
    token = subject.removeprefix("outputs.accepted.")
    assert not set(token) & set(". *>\r\n")
    assert unescape_key(token) == key
    assert headers["Nats-Msg-Id"].endswith(f":outputs.accepted.{token}")
    assert headers["Nats-Expected-Last-Subject-Sequence-Subject"] == f"outputs.*.{token}"
    assert len(headers) == 3
    assert msgspec.json.decode(payload) == {"order_id": key}


@pytest.mark.parametrize("key", ["", "k" * 201])
def test_a_key_that_cannot_be_one_is_refused_before_anything_is_published(key: str) -> None:
    with pytest.raises(ContractViolation):
        message(Accepted(key))
    with pytest.raises(ContractViolation):
        OUTPUTS.ordered([Noted("n-1"), Accepted(key)])


def test_several_outputs_come_decisions_first_and_otherwise_in_their_order() -> None:
    given = [Noted("n-2"), Ticked(1), Accepted("p-1"), Noted("n-1")]
    assert OUTPUTS.ordered(given) == [Accepted("p-1"), Noted("n-2"), Ticked(1), Noted("n-1")]


def test_several_outputs_of_one_type_have_ids_of_their_own() -> None:
    ids = {message(value)[1]["Nats-Msg-Id"] for value in OUTPUTS.ordered((Noted("a"), Noted("b")))}
    assert len(ids) == 2


@pytest.mark.parametrize(
    "values",
    [
        [Noted("n"), Noted("n")],
        [Ticked(1), Ticked(2)],
        [Accepted("p"), Accepted("p")],
        [Accepted("p"), Refused("p")],
    ],
)
def test_outputs_of_which_the_server_would_keep_one_are_an_error(values: list[Any]) -> None:
    """De-duplication and the guard would swallow the second one without a word."""
    with pytest.raises(ConflictingOutputs, match=r"outputs-service\.decide returned"):
        OUTPUTS.ordered(values)


def test_decisions_about_different_keys_are_no_conflict() -> None:
    assert len(OUTPUTS.ordered([Accepted("a"), Refused("b")])) == 2


def test_none_among_several_is_nothing() -> None:
    assert OUTPUTS.ordered((None, Noted("n"), None)) == [Noted("n")]
    assert OUTPUTS.ordered([None]) == OUTPUTS.ordered([]) == []


def test_a_generator_is_several_outputs() -> None:
    assert OUTPUTS.ordered(Noted(key) for key in "ab") == [Noted("a"), Noted("b")]


async def _asynchronous() -> Any:
    yield Noted("n")


@pytest.mark.parametrize(
    ("result", "name"),
    [
        (5, "int"),
        ("text", "str"),
        ({"order_id": "p"}, "dict"),
        (Placed("p"), "Placed"),
        ([Noted("n"), 5], "int"),
        ([[Noted("n")]], "list"),
        (Accepted, "StructMeta"),
        (_asynchronous(), "async_generator"),
    ],
)
def test_what_the_annotation_does_not_name_is_an_error_that_names_it(
    result: Any, name: str
) -> None:
    with pytest.raises(UndeclaredOutput, match=f"returned {name}, which its annotation"):
        OUTPUTS.ordered(result)


def test_a_coroutine_is_closed_and_told_what_to_do() -> None:
    async def forgotten() -> None:
        """Wait for nobody."""

    with pytest.raises(UndeclaredOutput, match="declare it with async def"):
        OUTPUTS.ordered(forgotten())


def test_an_error_of_a_generator_is_the_handlers() -> None:
    def broken() -> Iterable[Noted]:
        yield Noted("n")
        raise LookupError

    with pytest.raises(LookupError):
        OUTPUTS.ordered(broken())
