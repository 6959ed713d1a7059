"""What the decoder reads, the published schema takes; where it is wider, docs/contracts.md says."""

from __future__ import annotations

import datetime as dt
import json
import re
import uuid
from collections.abc import Iterator
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from msgspec import Meta, Struct

from jetmesh import derive, event
from jetmesh.declare import EventSpec, escape_key, key_of, spec_of
from jetmesh.errors import ContractViolation
from jetmesh.operate.schemas import json_schema
from shop.system import system
from shop_contracts import PurchaseCreated, RejectionCode, Tier
from tests.examples import examples
from tests.unit.shop import flow

ROOT = Path(__file__).parents[2]


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Mood(Enum):
    GOOD = "good"


class Cash(Struct, frozen=True, tag="cash"):
    """Coins."""


class Card(Struct, frozen=True, tag="card"):
    """Plastic."""

    number: Annotated[str, Meta(pattern="^[0-9]+$", max_length=5)]


class Strict(Struct, frozen=True, forbid_unknown_fields=True):
    a: int = 1


class Row(Struct, frozen=True, array_like=True):
    a: int
    b: str = ""


@event("every.type", key="id")
class Everything(Struct, frozen=True, kw_only=True):
    """A field of every type that contracts are made of."""

    id: str
    whole: int = 0
    small: Annotated[int, Meta(ge=-5, lt=10)] = 0
    even: Annotated[int, Meta(multiple_of=2)] = 0
    real: float = 0.0
    ratio: Annotated[float, Meta(ge=0, le=1)] = 0.0
    yes: bool = False
    amount: Decimal = Decimal(0)
    perhaps: Decimal | None = None
    text: Annotated[str, Meta(min_length=1, max_length=3)] = "a"
    either: int | str = 0
    level: Level = Level.LOW
    mood: Mood = Mood.GOOD
    one_of: Literal["a", 2] = "a"
    data: bytes = b""
    at: dt.datetime | None = None
    at_zone: Annotated[dt.datetime | None, Meta(description="Aware.")] = None
    day: dt.date | None = None
    time: dt.time | None = None
    span: dt.timedelta | None = None
    number: uuid.UUID | None = None
    several: Annotated[tuple[int, ...], Meta(max_length=2)] = ()
    pair: tuple[int, str] = (1, "a")
    unique: frozenset[int] = frozenset()
    by_name: dict[str, int] = {}
    by_number: dict[int, str] = {}
    way: Cash | Card = Cash()
    strict: Strict = Strict()
    row: Row = Row(1)
    anything: Any = None


EVERYTHING = Everything(
    id="p-1",
    data=b"data",
    at=flow.START,
    day=flow.START.date(),
    time=flow.START.timetz(),
    span=dt.timedelta(seconds=5),
    number=uuid.UUID(int=5),
    several=(1, 2),
    unique=frozenset({1}),
    by_name={"a": 1},
    by_number={5: "a"},
    way=Card("123"),
    perhaps=Decimal("1.5"),
)
EVENTS: list[Struct] = [
    EVERYTHING,
    flow.created(placed_at=flow.START),
    flow.validated(),
    flow.rejected("p-1", *list(RejectionCode)[:2]),
    flow.captured(),
    flow.declined(),
    flow.told(),
    flow.account(120, Tier.SILVER),
    flow.reached(Tier.GOLD),
    flow.expired(),
    flow.wanted_back(),
    flow.refunded(),
    flow.expiry_told(),
    flow.refund_told(),
    flow.overdue(),
    flow.fulfilment(),
]


def words(text: str) -> list[str]:
    return text.split("|")


NINE, ZERO, BOLD_NINE = "\uff19", "\u0660", "\U0001d7d7"
"""Digits of other scripts, which Python's Decimal reads."""
DECIMALS = [
    *(f"{NINE}.00", ZERO, BOLD_NINE, f"NaN{ZERO}", "\xa09\u2003", "\x85-9", "\x1c9\x1f", "9\n"),
    *words("9.00| 9.00 |9_0.00|_9|+_1|1e5|1E_5|1.|._1|-_.1|.|e5|1e|1 2|cheap|\xe9|_|"),
    *words("nan|N_aN|sNaN12|-NaN|Infinity|INF|I_n_f|in_finity_|1e9999999999999999999"),
]
TIMES = [
    *words("2026-11-23T12:00:00Z|2026-11-23 12:00:00|2026-11-23t12:00:00.123456789+01:00"),
    *words("2026-11-23|2026-11-23T24:00:00Z|12:00:00|12:00:00Z|P1D|PT5S|PT1.5S|P1Y|P1W"),
]
OTHERS = [
    *words("a|p-1|good|GOOD|card|12345|123456|12\n|ZGF0YQ==|ZGF0YQ|Z GF0YQ==|\0|\ud800"),
    *("x" * 201, "\xe9" * 150, str(uuid.UUID(int=5)), uuid.UUID(int=5).hex),
]
NUMBERS = [
    *(0, 1, 2, 3, -5, 10, 4.0, 2.0, 1e2, 1.5, 0.1, -0.0),
    *(2**31, 2**63, 2**64, -(2**63) - 1, 10**25, 1e300),
]
ODD = [*DECIMALS, *TIMES, *OTHERS, *NUMBERS, True, False, None]
SCALARS = st.one_of(
    st.sampled_from(ODD),
    st.text(max_size=5),
    st.text(alphabet=f"0123456789{NINE}{ZERO}_.eE+-naNInfsty \t", max_size=8),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "a", "b", "number", "5", "code", "field"]), inner, max_size=3
        )
    ),
    max_leaves=5,
)
GONE = object()


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every part of a document."""
    yield path
    parts = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for name, part in parts:
        yield from places(part, (*path, name))


def changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The document with one part replaced, or gone."""
    if not path:
        return value
    name, *rest = path
    items = dict(document) if isinstance(document, dict) else dict(enumerate(document))
    if not rest and value is GONE:
        del items[name]
    else:
        items[name] = changed(items[name], tuple(rest), value)
    return items if isinstance(document, dict) else list(items.values())


class Judges:
    """The decoder and the published schema of an event."""

    def __init__(self, example_: Struct) -> None:
        spec = spec_of(type(example_))
        assert isinstance(spec, EventSpec)
        self.spec = spec
        self.document = json.loads(msgspec.json.encode(example_))
        self.places = list(places(self.document))
        self.validator = Draft202012Validator(json_schema(spec))

    def refusal(self, document: Any) -> str:
        """Why the decoder does not read a document; empty when it does."""
        try:
            found = msgspec.json.decode(json.dumps(document), type=self.spec.type)
            escape_key(key_of(self.spec, found))
        except (msgspec.DecodeError, ContractViolation, UnicodeError) as error:
            return str(error)
        return ""

    def compare(self, path: tuple[Any, ...], value: Any) -> str:
        """Why the decoder alone refuses the event with one part changed; empty when it does not."""
        document = changed(self.document, path, value)
        refused = self.refusal(document)
        accepted = self.validator.is_valid(document)
        assert refused or accepted, f"the schema refuses {value!r} at {path}"
        return refused if accepted else ""


WIDER = {
    "An integer written as `4.0` or `1e2`": "got `float`",
    "A key of more than 200 bytes": "the key has",
    "A text that is no time, duration, base64 or UUID": (
        "Invalid (RFC3339|ISO8601|base64|UUID)|Only units|timezone"
    ),
    "A decimal of other letters than digits": "Invalid decimal string",
    "A name that is no number, in a dictionary by numbers": "at `key`",
    "A text with half a surrogate pair": "surrogate|truncated",
}
"""What the schemas take and the decoder refuses: as docs/contracts.md lists it, and as it says."""


JUDGES = [Judges(each) for each in EVENTS]


def test_every_published_schema_is_compared() -> None:
    published = {path.stem for path in (ROOT / "contracts" / "schemas").glob("*.json")}
    assert published == {spec.subject for spec in derive(system.load()).events}
    assert published == {judges.spec.subject for judges in JUDGES[1:]}


@pytest.mark.thorough
@pytest.mark.parametrize("judges", JUDGES, ids=lambda judges: judges.spec.subject)
def test_what_the_decoder_reads_the_schema_takes_and_what_it_takes_beyond_is_listed(
    judges: Judges,
) -> None:
    assert judges.refusal(judges.document) == ""
    assert judges.validator.is_valid(judges.document)

    @settings(max_examples=examples(800 if judges is JUDGES[0] else 80), deadline=None)
    @given(st.sampled_from(judges.places[1:]), st.just(GONE) | VALUES)
    def compared(path: tuple[Any, ...], value: Any) -> None:
        refused = judges.compare(path, value)
        assert not refused or listed(refused), (path, value, refused)

    compared()


def test_every_odd_value_in_every_place_and_every_difference_that_is_listed() -> None:
    found = {
        listed(refused)
        for judges in JUDGES
        for path in judges.places[1:]
        for value in [*ODD, [], {}, [1, 1], {"x": "a"}, GONE]
        if (refused := judges.compare(path, value))
    }
    assert found == set(WIDER)


def listed(refused: str) -> str:
    return next((name for name, says in WIDER.items() if re.search(says, refused)), "")


def test_the_page_lists_the_differences() -> None:
    page = (ROOT / "docs" / "contracts.md").read_text()
    assert [name for name in WIDER if name not in page] == []


def test_of_a_repeated_name_the_last_counts() -> None:
    """A schema cannot tell, and msgspec does not; docs/contracts.md says why it stays so."""
    payload = json.dumps(JUDGES[1].document)[:-1] + ', "total": "1.00"}'
    found = msgspec.json.decode(payload, type=PurchaseCreated)
    assert found.total == Decimal("1.00")
