"""Every version that may be stored is read as the newest one, or says why it cannot be."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from msgspec import Struct, field

from jetmesh import event, upcasts, wire
from jetmesh.declare import EventSpec, declared_spec
from jetmesh.errors import ContractViolation
from jetmesh.protocol.ids import Cause
from jetmesh.protocol.versions import WHICHEVER, said
from jetmesh.transport.outcomes import unreadable_as
from jetmesh.transport.reader import NewerVersion, Reader, Removed, reader_of
from jetmesh.transport.stored import StoredMessage

ID = Cause("readable", "do", "READABLE-IN", "7", 1_795_000_000_000_000_000).id("readable.sold.p-1")


def declared(*, decision: bool = False, version: int = 3, oldest: int = 1) -> EventSpec:
    """Version 1 has `at`, 2 calls it `when`, 3 has the price in `amount`, and a default."""

    @event(
        "readable.sold",
        key="id",
        decision="readable.*" if decision else None,
        version=version,
        oldest=oldest,
    )
    class Sold(Struct, frozen=True, kw_only=True):
        id: str
        when: datetime
        amount: Decimal
        note: str = "none"

    def renamed(old: dict[str, Any]) -> dict[str, Any]:
        old["when"] = old.pop("at")
        return old

    def summed(old: dict[str, Any]) -> dict[str, Any]:
        return {**old, "amount": old["price"] * old["pieces"]}

    for each, step in ((1, renamed), (2, summed)):
        if oldest <= each < version:
            upcasts(each, Sold)(step)
    return declared_spec(Sold)


V1 = {"id": "p-1", "at": "2026-01-01T12:00:00Z", "price": 12.30, "pieces": 2}
V2 = {"id": "p-1", "when": "2026-01-01T12:00:00Z", "price": 12.30, "pieces": 2}
V3 = {"id": "p-1", "when": "2026-01-01T12:00:00Z", "amount": "24.60"}
NEWEST = {"id": "p-1", "when": datetime(2026, 1, 1, 12, tzinfo=UTC), "amount": Decimal("24.60")}


def read(
    spec: EventSpec, value: Any, headers: dict[str, str] | None = None, text: str = ""
) -> Struct:
    """Both ways that there are; they agree."""
    payload = text.encode() or json.dumps(value).encode()
    block = wire.block(headers) if headers else b""
    found: Struct = Reader(spec).read(payload, block)
    assert Reader(spec).read_stored(payload, headers or {}) == found
    return found


@pytest.mark.parametrize(
    ("value", "headers"),
    [(V1, {}), (V1, said(WHICHEVER)), (V2, said(2)), (V3, said(3)), (V2, said(WHICHEVER))],
    ids=["1", "1, left open", "2", "3", "2, left open"],
)
def test_every_version_is_read_as_the_newest(value: Any, headers: dict[str, str]) -> None:
    found = read(declared(), value, {**headers, "Nats-Msg-Id": ID})
    assert msgspec.structs.asdict(found) == {**NEWEST, "note": "none"}


def test_no_digit_of_a_number_is_lost_on_the_way() -> None:
    text = json.dumps({**V1, "price": 0.5, "pieces": 1}).replace("0.5", "0.12345678901234567890123")
    found: Any = read(declared(), None, {"Nats-Msg-Id": ID}, text=text)
    assert found.amount == Decimal("0.12345678901234567890123")


def test_an_upcast_number_may_stay_a_number() -> None:
    @event("readable.weighed", version=2)
    class Weighed(Struct, frozen=True):
        grams: float
        times: int = 1

    @upcasts(1, Weighed)
    def from_kilos(old: dict[str, Any]) -> dict[str, Any]:
        return {"grams": old["kilos"] * 1000}

    assert read(declared_spec(Weighed), {"kilos": 1.25}) == Weighed(1250.0)
    assert read(declared_spec(Weighed), {"kilos": 2}) == Weighed(2000.0)


def test_what_a_handler_made_without_a_version_is_version_1_even_where_it_reads_as_the_newest() -> (
    None
):
    """The defaulted rename: both decode, and one of them is wrong."""

    @event("readable.noted", version=2)
    class Noted(Struct, frozen=True):
        remark: str = "none"

    @upcasts(1, Noted)
    def renamed(old: dict[str, Any]) -> dict[str, Any]:
        return {"remark": old.get("note", "none")}

    spec = declared_spec(Noted)
    assert read(spec, {"note": "mind"}, {"Nats-Msg-Id": ID}) == Noted("mind")
    on_a_lane = {"Jetmesh-Stream": "READABLE", "Nats-Msg-Id": "replay:7"}
    assert read(spec, {"note": "mind"}, on_a_lane) == Noted("mind")
    # nobody told whoever typed it of versions
    assert read(spec, {"remark": "mine"}) == Noted("mine")
    assert read(spec, {"remark": "mine"}, {"Nats-Msg-Id": "web:1"}) == Noted("mine")
    assert read(spec, {"remark": "mine"}, {**on_a_lane, **said(WHICHEVER)}) == Noted("mine")


@pytest.mark.parametrize("value", [V1, V2, V3], ids=["1", "2", "3"])
def test_from_outside_it_is_the_newest_that_decodes(value: Any) -> None:
    assert msgspec.structs.asdict(read(declared(), value)) == {**NEWEST, "note": "none"}


def test_what_decides_never_comes_from_outside() -> None:
    spec = declared(decision=True)
    read(spec, V1)
    with pytest.raises(ContractViolation, match=r"version 1 cannot be read, .* raised KeyError"):
        read(spec, V3)


def test_what_is_of_no_version_breaks_the_contract_of_the_newest() -> None:
    with pytest.raises(msgspec.ValidationError, match="missing required field `amount`"):
        read(declared(), {"id": "p-1", "when": "2026-01-01T12:00:00Z"})


def test_an_envelope_may_hold_any_version() -> None:
    envelope = {"specversion": "1.0", "type": "t", "source": "s", "data": V1}
    cloud = {"Content-Type": "application/cloudevents+json"}
    read(declared(), envelope, cloud)
    newest = {**envelope, "data": V3}
    read(declared(), newest, {**said(3), **cloud})
    read(declared(), newest, {**cloud, **said(3)})


@pytest.mark.parametrize("version", [1, 2])
def test_a_newer_version_is_never_read_as_an_older_one(version: int) -> None:
    """It would decode: this is how silent changes of meaning begin."""
    spec = declared(version=version)
    with pytest.raises(
        NewerVersion, match=f"version 3 of readable.sold is stored, and this code knows {version}"
    ):
        read(spec, V3, {**said(3), "Nats-Msg-Id": ID})


def test_what_only_newer_code_reads_is_not_called_forged() -> None:
    def stored(headers: dict[str, str]) -> StoredMessage:
        payload = b'{"something": "else"}'
        return StoredMessage("READABLE", 1, "readable.sold.p-1", headers, payload, 1)

    assert unreadable_as(declared(), stored(said(4))) == ""
    assert unreadable_as(declared(), stored(said(3))) == "it is no Sold"
    assert unreadable_as(declared(), stored({})) == "it is no Sold"


def test_a_version_that_was_dropped_says_so() -> None:
    spec = declared(oldest=2)
    read(spec, V2, said(2))
    with pytest.raises(ContractViolation, match=r"version 1 was dropped, the oldest .* is 2"):
        read(spec, V1, {"Nats-Msg-Id": ID})


@pytest.mark.parametrize("text", ["2", "v2", "+", "+-1", "+\uff12", "+1.0", "", "+12345678901"])
def test_a_header_that_is_no_version_says_how_to_write_one(text: str) -> None:
    headers = {"Jetmesh-Event-Version": text}
    with pytest.raises(ContractViolation, match=r"is no version; write it as \+2"):
        Reader(declared()).read_stored(json.dumps(V2).encode(), headers)
    assert not Reader(declared()).is_newer(wire.block(headers))


def test_a_mark_of_the_server_is_no_version() -> None:
    headers = wire.block({"Nats-Marker-Reason": "MaxAge"})
    for spec in (declared(), declared(version=1)):
        with pytest.raises(Removed, match="MaxAge"):
            Reader(spec).read(b"", headers)


def faulty(step: Any) -> EventSpec:
    @event("readable.faulty", version=2)
    class Faulty(Struct, frozen=True):
        mail: str

    def made(old: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = step(old)
        return result

    upcasts(1, Faulty)(made)
    return declared_spec(Faulty)


def test_what_an_upcaster_raises_names_it_and_quotes_nothing() -> None:
    def refuse(old: dict[str, Any]) -> dict[str, Any]:
        raise ValueError(f"never heard of {old['address']}")

    with pytest.raises(ContractViolation) as error:
        read(faulty(refuse), {"address": "ada@example.org"}, {"Nats-Msg-Id": ID})
    assert str(error.value) == (
        "readable.faulty: version 1 cannot be read, because its upcaster made raised ValueError"
    )
    names = []
    trace = error.value.__traceback__
    while trace is not None:
        names.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    assert names[-1] == "refuse"  # where it went wrong, for the letter


@pytest.mark.parametrize(
    ("made", "said_of_it"),
    [
        (None, "returned NoneType, no mapping"),
        (["mail"], "returned list, no mapping"),
        ({"mail": object()}, "returned no JSON: TypeError"),
        ({}, "returned what does not fit: Object missing required field `mail`"),
        ({"mail": 7}, "returned what does not fit: Expected `str`, got `int` - at `$.mail`"),
    ],
    ids=["nothing", "a list", "no JSON", "too little", "another type"],
)
def test_what_an_upcaster_returns_is_judged_as_any_payload_is(made: Any, said_of_it: str) -> None:
    with pytest.raises(ContractViolation) as error:
        read(faulty(lambda _: made), {}, {"Nats-Msg-Id": ID})
    assert str(error.value).endswith(f"its upcaster made {said_of_it}")
    assert error.value.path == ("$.mail" if "field" in said_of_it or "at `" in said_of_it else "$")


def test_a_payload_that_is_no_object_is_no_version_at_all() -> None:
    with pytest.raises(msgspec.ValidationError, match="Expected `object`"):
        read(declared(), [], {"Nats-Msg-Id": ID})


def test_the_names_on_the_wire_are_those_of_each_version() -> None:
    @event("readable.wired", key="id", version=2)
    class Wired(Struct, frozen=True):
        id: str = field(name="ID")

    upcasts(1, Wired)(into_capitals)
    assert read(declared_spec(Wired), {"id": "p"}, {"Nats-Msg-Id": ID}) == Wired("p")


def into_capitals(old: dict[str, Any]) -> dict[str, Any]:
    return {name.upper(): value for name, value in old.items()}


def test_a_reader_is_made_once_for_each_event() -> None:
    spec = declared()
    assert reader_of(spec) is reader_of(spec)
    assert reader_of(declared()) is not reader_of(spec)
