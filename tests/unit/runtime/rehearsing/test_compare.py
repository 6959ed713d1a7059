"""What a rehearsal says of a message: the same, or what kind of other."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta, Struct

from jetmesh import Delivery, Reject, Retry, Service, Unavailable, event, upcasts
from jetmesh.protocol.versions import said
from tests.unit.runtime.rehearsing.shelf import (
    STORED_NS,
    Asked,
    Found,
    Missing,
    Noted,
    Why,
    known,
    rehearsed,
    stored,
)


def find(asked: Asked) -> Found | Missing | None:
    """The rule: what is asked for negatively is missing, for nothing not even that."""
    if asked.amount < 0:
        return Missing(asked.id, Why.BROKEN, f"{asked.token} is broken")
    return Found(asked.id, asked.amount, asked.token) if asked.amount else None


async def test_what_leads_to_the_same_is_only_counted() -> None:
    report = await rehearsed(
        find,
        known(Asked("b-1"), Found("b-1", 1, "tok_entrusted")),
        known(
            Asked("b-2", amount=-1),
            Missing("b-2", Why.BROKEN, "tok_entrusted is broken"),
            sequence=2,
        ),
        known(Asked("b-3", amount=0), sequence=3),
    )
    assert (report.rehearsed, report.same, report.groups) == (3, 3, [])
    assert not report.refused


async def test_another_outcome_is_named_with_the_code_that_says_why() -> None:
    several = [known(Asked(f"b-{n}", amount=-1), Found(f"b-{n}"), sequence=n) for n in range(1, 6)]
    report = await rehearsed(find, *several)
    (group,) = report.groups
    assert (group.count, group.kind) == (5, "outcome:shelf.missing:broken")
    assert group.about == "`shelf.missing` where `shelf.found` is stored: broken"
    assert [(e.key, e.place) for e in group.examples] == [
        ("b-1", "SHELF_IN:1"),
        ("b-2", "SHELF_IN:2"),
        ("b-3", "SHELF_IN:3"),
    ]
    assert report.refused


async def test_fields_that_differ_are_named_with_both_values() -> None:
    report = await rehearsed(find, known(Asked("b-1", amount=7), Found("b-1", 8, "tok_entrusted")))
    (group,) = report.groups
    assert (group.kind, group.about) == ("field:shelf.found:amount", "`shelf.found` in amount")
    assert group.examples[0].detail == "amount 8 is now 7"


async def test_nothing_sensitive_is_shown_of_either_event() -> None:
    def leak(asked: Asked) -> Found:
        if asked.amount == 3:
            raise ValueError(f"no luck with {asked.token}")
        return Found(asked.id, asked.amount, asked.token)

    report = await rehearsed(
        leak,
        known(Asked("b-1"), Found("b-1", 1, "tok_before"), sequence=1),
        known(Asked("b-2"), Missing("b-2", text="tok_entrusted"), sequence=2),
        known(Asked("b-3", amount=3), Found("b-3"), sequence=3),
    )
    details = [example.detail for group in report.groups for example in group.examples]
    assert len(details) == 3
    assert all(details)
    assert not [text for text in details if "entrusted" in text or "tok_before" in text]


async def test_an_output_more_and_one_less_are_differences() -> None:
    def both(asked: Asked) -> list[Found | Noted] | None:
        return [Found(asked.id), Noted(asked.id)] if asked.amount else None

    report = await rehearsed(
        both,
        known(Asked("b-1"), Found("b-1"), sequence=1),
        known(Asked("b-2", amount=0), Found("b-2"), Noted("b-2"), sequence=2),
        known(Asked("b-3"), Noted("b-3"), Found("b-3"), sequence=3),
    )
    assert report.same == 1
    assert {group.about for group in report.groups} == {
        "`shelf-log.noted` where nothing is stored",
        "nothing where `shelf.found` is stored",
    }


async def test_an_output_with_another_key_is_a_difference() -> None:
    report = await rehearsed(lambda_with_key, known(Asked("b-1"), Found("b-1")))
    assert report.groups[0].about == "`shelf.found` where `shelf.found` with another key is stored"


def lambda_with_key(asked: Asked) -> Found:
    return Found(asked.id.upper())


async def test_an_outcome_that_this_build_does_not_know_is_a_difference() -> None:
    def only_found(asked: Asked) -> Found:
        return Found(asked.id)

    report = await rehearsed(only_found, known(Asked("b-1"), Missing("b-1")))
    assert report.groups[0].about == "`shelf.found` where `shelf.missing` is stored"


async def test_what_would_be_dead_lettered_is_named_with_its_line() -> None:
    def fail(asked: Asked) -> Found:
        places: dict[str, Found] = {}
        return places[asked.id]

    report = await rehearsed(fail, known(Asked("b-1"), Found("b-1")))
    (group,) = report.groups
    assert (group.kind, group.verb) == ("letter:KeyError", "would be dead-lettered")
    line = fail.__code__.co_firstlineno + 2
    assert group.about == f"`KeyError` at rehearsing/test_compare.py:{line}"


async def test_a_message_that_no_contract_reads_would_be_dead_lettered() -> None:
    report = await rehearsed(find, known(b'{"id": 1}', Found("b-1")))
    (group,) = report.groups
    assert (group.kind, group.about) == (
        "letter:ContractViolation",
        "`ContractViolation` at field $.id",
    )


async def test_what_failed_then_may_fail_or_pass_now() -> None:
    def judge(asked: Asked) -> Found:
        if asked.amount == 2:
            raise Reject("still wrong")
        if asked.amount == 3:
            raise ValueError("wrong in another way")
        return Found(asked.id)

    report = await rehearsed(
        judge,
        known(Asked("b-1"), error="KeyError", sequence=1),
        known(Asked("b-2", amount=2), error="Reject", sequence=2),
        known(Asked("b-3", amount=3), error="Reject", sequence=3),
    )
    assert report.same == 1, "a letter of the same error is the same"
    assert {(g.kind, g.verdict, g.allowed) for g in report.groups} == {
        ("passes:KeyError", "passes", True),
        ("letter:ValueError", "fails", False),
    }


async def test_what_is_tried_again_and_what_waits_are_told_apart() -> None:
    async def ask(asked: Asked) -> Found:
        if asked.amount == 1:
            raise Retry("in a moment", counts=False)
        if asked.amount == 2:
            raise Retry("in an hour", after=3600, counts=False)
        raise Unavailable("the lift is away")

    report = await rehearsed(
        ask,
        *(known(Asked(f"b-{n}", amount=n), Found(f"b-{n}"), sequence=n) for n in (1, 2, 3, 4)),
    )
    assert {(g.kind, g.verb, g.count) for g in report.groups} == {
        ("again:Retry", "would be tried again", 2),
        ("waits:Unavailable", "would wait", 2),
    }


async def test_an_output_that_no_reader_could_decode_fails() -> None:
    def wrong(asked: Asked) -> Found:
        return Found(asked.id, amount="tok_entrusted")  # type: ignore[arg-type]  # nobody checks

    report = await rehearsed(wrong, known(Asked("b-1"), Found("b-1")))
    (group,) = report.groups
    assert (group.kind, group.verdict) == ("contract:shelf.found", "fails")
    assert "entrusted" not in group.examples[0].detail


async def test_what_has_no_verdict_yet_is_run_and_not_compared() -> None:
    fresh, other = known(Asked("b-1")), known(Asked("b-2", amount=0), sequence=2)
    fresh.fate, other.fate = "open", "others"
    report = await rehearsed(find, fresh, other)
    assert (report.rehearsed, report.open, report.others, report.groups) == (1, 1, 1, [])


async def test_a_new_failure_of_what_has_no_verdict_yet_is_told() -> None:
    def fail(asked: Asked) -> Found:
        raise LookupError(asked.id)

    fresh = known(Asked("b-1"))
    fresh.fate = "open"
    assert (await rehearsed(fail, fresh)).groups[0].kind == "letter:LookupError"


async def test_a_handler_sees_the_delivery_as_it_was() -> None:
    seen: list[tuple[str, int, str]] = []

    def look(asked: Asked, delivery: Delivery) -> None:
        seen.append((delivery.cause, delivery.attempt, delivery.stored_at.isoformat()))

    asked = known(Asked("b-1"), sequence=7)
    await rehearsed(look, asked)
    cause = f"SHELF_IN:7-{stored(Asked('b-1'), 7).stored_ns}"
    assert seen == [(cause, 1, asked.message.stored_at.isoformat())]


@pytest.mark.parametrize("pattern", ["outcome:shelf.missing:broken", "outcome:*", "*"])
async def test_a_kind_that_is_meant_is_allowed(pattern: str) -> None:
    several = known(Asked("b-1", amount=-1), Found("b-1"))
    assert not (await rehearsed(find, several, allowed=(pattern,))).refused
    assert (await rehearsed(find, several, allowed=("field:*",))).refused


@event("shelf-more.weighed", key="id")
class Weighed(Struct, frozen=True):
    id: str
    weight: Decimal = Decimal(0)
    by: dict[Annotated[str, Meta(extra={"sensitive": True})], int] = {}
    mood: Annotated[Why | None, Meta(extra={"sensitive": True})] = None


@pytest.mark.parametrize(
    ("then", "now", "same"),
    [("9.0", "9.00", True), ("NaN", "NaN", True), ("sNaN", "sNaN", True), ("sNaN", "1", False)],
)
async def test_numbers_are_compared_as_numbers(then: str, now: str, same: bool) -> None:  # noqa: FBT001 - a parameter of the test
    def weigh(asked: Asked) -> Weighed:
        return Weighed(asked.id, Decimal(now))

    report = await rehearsed(weigh, known(Asked("b-1"), Weighed("b-1", Decimal(then))))
    assert bool(report.same) is same
    assert (
        [group.kind for group in report.groups] == []
        if same
        else ["field:shelf-more.weighed:weight"]
    )


async def test_no_name_of_a_kind_holds_what_is_sensitive() -> None:
    def weigh(asked: Asked) -> Weighed:
        if asked.amount == 2:
            return Weighed(asked.id, mood=Why.BROKEN)
        return Weighed(asked.id, by={"ana@example.test": 1, "tok].x": 2})

    report = await rehearsed(
        weigh,
        known(Asked("b-1"), Weighed("b-1", by={"ana@example.test": 2})),
        known(Asked("b-2", amount=2), sequence=2),
    )
    kinds = {group.kind for group in report.groups}
    assert kinds == {"field:shelf-more.weighed:by[]", "outcome:shelf-more.weighed"}
    said = msgspec.json.encode(report).decode()
    assert not [word for word in ("ana@", "tok]", "broken") if word in said]


@event("shelf-kept.kept", key="id", version=2)
class Kept(Struct, frozen=True):
    id: str
    place: str


@upcasts(1, Kept)
def named(old: dict[str, Any]) -> dict[str, Any]:
    return {"id": old["id"], "place": f"shelf {old['shelf']}"}


async def test_an_outcome_of_an_older_version_is_compared_as_the_newest() -> None:
    def keep(asked: Asked) -> Kept:
        return Kept(asked.id, f"shelf {asked.amount}")

    several = [known(Asked(f"b-{n}"), Kept(f"b-{n}", ""), sequence=n) for n in (1, 2)]
    for shelf, each in enumerate(several, 1):
        (then,) = each.outputs
        payload = msgspec.json.encode({"id": f"b-{shelf}", "shelf": shelf})
        ours = {"Nats-Msg-Id": f"shelf-service:keep:SHELF_IN:{shelf}-{STORED_NS}:{then.subject}"}
        each.outputs = [replace(then, payload=payload, headers=ours)]
    report = await rehearsed(keep, *several)
    assert report.same == 1
    (group,) = report.groups
    assert group.examples[0].detail == "place shelf 2 is now shelf 1"


async def test_a_message_of_a_newer_version_would_wait() -> None:
    def keep(kept: Kept) -> None: ...

    service = Service("shelf-service")
    service.on(Kept)(keep)
    newer = known(Kept("b-1", "there"))
    newer.message = replace(newer.message, headers=said(3))
    report = await asyncio.wait_for(rehearsed(service, newer), 30)
    assert [(g.kind, g.verb) for g in report.groups] == [("waits:NewerVersion", "would wait")]
