"""An event type is checked where it is declared."""

from __future__ import annotations

import re
from typing import Annotated, Any, NewType

import pytest
from msgspec import Meta, Struct, field

from jetmesh import event
from jetmesh.declare import key_of, matches, spec_of
from jetmesh.errors import DeclarationError

HERE = re.escape(__file__) + r":\d+: "
OrderId = NewType("OrderId", str)


@event("orders.validated", key="order_id", decision="orders.*")
class OrderValidated(Struct, frozen=True):
    """The order is sound.

    Payment may start.
    """

    order_id: str


def test_a_declared_event_knows_its_subject_stream_and_filters() -> None:
    spec = spec_of(OrderValidated)
    assert spec is not None
    assert (spec.name, spec.subject, spec.key) == ("OrderValidated", "orders.validated", "order_id")
    assert spec.stream == "ORDERS"
    assert spec.filters == ("orders.validated", "orders.validated.*")
    assert spec.summary == "The order is sound."
    assert re.fullmatch(re.escape(__file__) + r":\d+", spec.where)


def test_an_event_names_the_line_of_its_decorator() -> None:
    spec = spec_of(OrderValidated)
    assert spec is not None
    line = int(spec.where.rpartition(":")[2])
    with open(__file__, encoding="utf-8") as source:  # noqa: PTH123 - reads as the error does
        assert '@event("orders.validated"' in source.read().splitlines()[line - 1]


def test_an_event_without_a_key_is_read_on_its_subject_alone() -> None:
    @event("shop-news.told")
    class Told(Struct, frozen=True):
        text: str

    spec = spec_of(Told)
    assert spec is not None
    assert spec.filters == ("shop-news.told",)
    assert spec.stream == "SHOP_NEWS"
    assert spec.summary == ""
    assert key_of(spec, Told("hello")) == ""


def test_the_key_is_taken_from_its_field_unescaped() -> None:
    spec = spec_of(OrderValidated)
    assert spec is not None
    assert key_of(spec, OrderValidated("a.b c")) == "a.b c"


def test_a_subclass_of_an_event_is_no_event_by_itself() -> None:
    class Special(OrderValidated, frozen=True):
        pass

    assert spec_of(Special) is None
    assert spec_of(str) is None
    assert spec_of("OrderValidated") is None


@pytest.mark.parametrize(
    ("pattern", "subject", "expected"),
    [
        ("orders.*", "orders.validated", True),
        ("orders.*", "orders.validated.p-1", False),
        ("orders.*", "payments.captured", False),
        ("orders.*.late", "orders.validated.late", True),
        ("orders.validated", "orders.validated", True),
        ("orders.validated", "orders.*", False),
    ],
)
def test_a_pattern_matches_token_by_token(pattern: str, subject: str, expected: Any) -> None:
    assert matches(pattern, subject) is expected


def test_a_key_may_be_an_annotated_string_or_a_new_type_of_it() -> None:
    @event("a.annotated", key="id")
    class Limited(Struct, frozen=True):
        id: Annotated[str, Meta(min_length=1, description="The id.")]

    @event("a.new", key="id")
    class New(Struct, frozen=True):
        id: OrderId

    @event("a.renamed", key="id")
    class Renamed(Struct, frozen=True):
        id: str = field(name="orderId")

    assert all(spec_of(cls) for cls in (Limited, New, Renamed))


def test_a_type_that_is_no_struct_is_refused() -> None:
    with pytest.raises(DeclarationError, match=HERE + "event .*Plain is not a msgspec Struct"):

        @event("a.b")
        class Plain:  # type: ignore[type-var]  # the mistake under test
            pass


def test_an_event_that_can_be_changed_is_refused() -> None:
    with pytest.raises(DeclarationError, match=HERE + r".*frozen=True"):

        @event("a.b")
        class Mutable(Struct):
            text: str


@pytest.mark.parametrize(
    "subject",
    ["orders", "", "Orders.validated", "orders.", ".a", "a..b", "a.*", "a.>", "a b.c", "a.b\n"],
)
def test_a_subject_that_is_no_domain_and_what_happened_is_refused(subject: str) -> None:
    with pytest.raises(DeclarationError, match=HERE + ".*has the subject .*in lower case"):

        @event(subject)
        class Wrong(Struct, frozen=True):
            text: str


def test_a_key_that_is_no_field_is_refused_with_the_fields_there_are() -> None:
    with pytest.raises(DeclarationError, match=HERE + ".*no field 'oder_id'.*order_id, total"):

        @event("a.b", key="oder_id")
        class Wrong(Struct, frozen=True):
            order_id: str
            total: int


def test_a_key_that_may_be_missing_is_refused() -> None:
    with pytest.raises(DeclarationError, match=HERE + ".*may lack its key"):

        @event("a.b", key="id")
        class Wrong(Struct, frozen=True):
            id: str = ""


def test_a_key_that_is_no_string_is_refused() -> None:
    with pytest.raises(DeclarationError, match=HERE + ".*key 'id' that is not a string.*as str"):

        @event("a.number", key="id")
        class Number(Struct, frozen=True):
            id: int

    with pytest.raises(DeclarationError, match="is not a string"):

        @event("a.perhaps", key="id")
        class Perhaps(Struct, frozen=True):
            id: str | None


def test_a_field_of_a_type_that_does_not_exist_is_refused() -> None:
    with pytest.raises(DeclarationError, match=HERE + ".*'Missing', which is not defined"):

        @event("a.b", key="id")
        class Wrong(Struct, frozen=True):
            id: str
            other: Missing  # type: ignore[name-defined]  # noqa: F821 - the mistake under test


def test_a_race_needs_a_decision() -> None:
    with pytest.raises(DeclarationError, match=HERE + ".*race about nothing"):

        @event("a.b", key="id", race=True)
        class Wrong(Struct, frozen=True):
            id: str


def test_the_remedy_for_a_wrong_decision_keeps_all_tokens_of_the_subject() -> None:
    with pytest.raises(DeclarationError, match=r"decision='orders\.verdict\.\*'"):

        @event("orders.verdict.sound", key="id", decision="orders.*")
        class Wrong(Struct, frozen=True):
            id: str


def test_a_decision_needs_a_key() -> None:
    with pytest.raises(DeclarationError, match=HERE + ".*decision without a key"):

        @event("a.b", decision="a.*")
        class Wrong(Struct, frozen=True):
            id: str


@pytest.mark.parametrize("decision", ["b.*", "a.*.*", "a", "*.b", "a.>", "a.b.c", ""])
def test_a_decision_must_match_the_subject_of_its_event(decision: str) -> None:
    with pytest.raises(DeclarationError, match=HERE + r".*does not match.*decision='a\.\*'"):

        @event("a.b", key="id", decision=decision)
        class Wrong(Struct, frozen=True):
            id: str


def test_a_sensitive_key_is_refused() -> None:
    with pytest.raises(DeclarationError, match=HERE + ".*sensitive key 'email'"):

        @event("a.mailed", key="email")
        class Mailed(Struct, frozen=True):
            email: Annotated[str, Meta(extra={"sensitive": True})]
