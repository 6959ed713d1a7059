"""Hypothesis strategies: types that msgspec reads, as people would declare them, and payloads."""

# mypy: disable-error-code="arg-type, assignment, attr-defined, call-arg, call-overload"
# mypy: disable-error-code="misc, valid-type"
# No type checker can follow types that are drawn.

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, Required, TypedDict, Union
from uuid import UUID

import msgspec
from hypothesis import reject
from hypothesis import strategies as st
from msgspec import UNSET, Meta, UnsetType

from jetmesh.operate.evolution.descriptor import Descriptor

_NAMES = ("a", "b", "c", "type")
_CODES = ("x", "y", "z")

# msgspec 0.22 gives one reference to None too many back with each Struct that is made; on Python
# 3.11 thousands of them would end the process. Patterns suffer the same, so none has one here.
KEPT: list[Any] = [None] * 1_000_000


class _Open(enum.Enum):
    """Enums of which this is the base read every value."""

    @classmethod
    def _missing_(cls, value: object) -> Any:
        del value
        return next(iter(cls))


@st.composite
def _number(draw: st.DrawFn, kind: type) -> Any:
    low = draw(st.sampled_from([None, {"ge": 0}, {"gt": -2}, {"ge": 7}]))
    high = draw(st.sampled_from([None, {"le": 100}, {"lt": 9}]))
    step = draw(st.sampled_from([None, None, {"multiple_of": 2}]))
    said = (low or {}) | (high or {}) | (step or {})
    return Annotated[kind, Meta(**said)] if said else kind


@st.composite
def _text(draw: st.DrawFn) -> Any:
    said: dict[str, Any] = draw(st.sampled_from([{}, {}, {"min_length": 1}, {"min_length": 3}]))
    said = said | draw(st.sampled_from([{}, {}, {"max_length": 5}, {"max_length": 40}]))
    return Annotated[str, Meta(**said)] if said else str


@st.composite
def _codes(draw: st.DrawFn) -> Any:
    chosen = draw(st.lists(st.sampled_from(_CODES), min_size=1, unique=True))
    if draw(st.booleans()):
        return Literal[tuple(chosen)]
    base = draw(st.sampled_from([enum.Enum, _Open]))
    return base(draw(st.sampled_from(["Code", "Kind"])), {c.upper(): c for c in chosen})


@st.composite
def _number_codes(draw: st.DrawFn) -> Any:
    chosen = draw(st.lists(st.integers(0, 3), min_size=1, unique=True))
    if draw(st.booleans()):
        return Literal[tuple(chosen)]
    base = draw(st.sampled_from([enum.IntEnum, _Open]))
    return base("Number", {f"N{n}": n for n in chosen})


@st.composite
def _moment(draw: st.DrawFn) -> Any:
    tz = draw(st.sampled_from([None, True, False]))
    kind = draw(st.sampled_from([dt.datetime, dt.time]))
    return kind if tz is None else Annotated[kind, Meta(tz=tz)]


_text_like = st.one_of(
    _text(), _text(), _codes(), _moment(),
    st.sampled_from([bytes, dt.date, dt.timedelta, UUID, Decimal, Decimal]),
)  # fmt: skip
_int_like = st.one_of(_number(int), _number(int), _number_codes())
_hashable = st.one_of(_text_like, _int_like, st.just(bool))
_keys = st.one_of(_text(), _codes(), st.sampled_from([str, int, UUID, dt.date]))


@st.composite
def _sized(draw: st.DrawFn, kind: Any) -> Any:
    said = draw(st.sampled_from([{}, {}, {"min_length": 1}, {"max_length": 2}, {"max_length": 8}]))
    return Annotated[kind, Meta(**said)] if said else kind


@st.composite
def _array_like(draw: st.DrawFn, depth: int) -> Any:
    made = draw(
        st.sampled_from(["list", "vartuple", "set", "frozenset", "tuple", "named", "struct"])
    )
    if made == "struct":
        return draw(structs(depth, array_like=True))
    if made == "named":
        return draw(_named_tuple(depth))
    if made == "tuple":
        return tuple[tuple(draw(st.lists(types(depth - 1), min_size=1, max_size=3)))]
    if made in ("set", "frozenset"):
        item = draw(_hashable)
        return draw(_sized(set[item] if made == "set" else frozenset[item]))
    item = draw(types(depth - 1))
    return draw(_sized(list[item] if made == "list" else tuple[item, ...]))


@st.composite
def _named_tuple(draw: st.DrawFn, depth: int) -> Any:
    names = draw(st.lists(st.sampled_from(_NAMES), min_size=1, max_size=3, unique=True))
    cls: Any = NamedTuple("Pair", [(name, draw(types(depth - 1))) for name in names])
    if draw(st.booleans()):
        default = draw(st.sampled_from([0, "x", None]))
        cls._field_defaults[names[-1]] = default
        cls.__new__.__defaults__ = (default,)
    return cls


@st.composite
def _object_like(draw: st.DrawFn, depth: int) -> Any:
    made = draw(st.sampled_from(["struct", "struct", "struct", "dict", "dataclass", "typeddict"]))
    if made == "struct":
        return draw(structs(depth))
    if made == "dict":
        return draw(_sized(dict[draw(_keys), draw(types(depth - 1))]))
    names = draw(st.lists(st.sampled_from(_NAMES), max_size=3, unique=True))
    if made == "dataclass":
        fields = [(name, draw(types(depth - 1)), *draw(_dataclass_default)) for name in names]
        return dataclasses.make_dataclass("Data", fields, kw_only=True)
    hints = {
        name: draw(st.sampled_from([Required, NotRequired]))[draw(types(depth - 1))]
        for name in names
    }
    return TypedDict("Dict", hints)  # type: ignore[operator]  # made at run time


_dataclass_default = st.sampled_from([(), (), (dataclasses.field(default=None),)])


@st.composite
def _union(draw: st.DrawFn, depth: int) -> Any:
    """One of each sort at most, as msgspec allows; or several tagged structs."""
    members = draw(
        st.lists(
            st.sampled_from(["null", "bool", "int", "float", "text", "array", "object"]),
            min_size=2,
            max_size=3,
            unique=True,
        )
    )
    each: dict[str, Callable[[], Any]] = {
        "null": lambda: None,
        "bool": lambda: bool,
        "int": lambda: draw(_int_like),
        "float": lambda: draw(_number(float)),
        "text": lambda: draw(_text_like),
        "array": lambda: draw(_array_like(depth - 1)),
        "object": lambda: draw(_object_like(depth - 1)),
    }
    if draw(st.integers(0, 3)) == 0:
        tags = draw(st.lists(st.sampled_from(_CODES), min_size=2, unique=True))
        return Union[tuple(draw(structs(depth - 1, tag=tag)) for tag in tags)]  # noqa: UP007 - made at run time
    return Union[tuple(each[name]() for name in members)]  # noqa: UP007 - made at run time


@st.composite
def _default(draw: st.DrawFn) -> dict[str, Any]:
    """Of a field: none, a constant of whatever type, or something made anew."""
    return draw(
        st.sampled_from(
            [
                {},
                {},
                {},
                {"default": None},
                {"default": 0},
                {"default": 5},
                {"default": "x"},
                {"default": "y"},
                {"default_factory": list},
                {"default_factory": dict},
                {"default": Decimal("1.50")},
                {"default": UNSET},
            ]
        )
    )


@st.composite
def structs(
    draw: st.DrawFn, depth: int = 2, *, array_like: bool = False, tag: str | None = None
) -> Any:
    names = draw(st.lists(st.sampled_from(_NAMES), min_size=0, max_size=4, unique=True))
    fields = []
    for name in names:
        said = draw(_default())
        kind = draw(types(depth - 1))
        wire = draw(st.sampled_from([name, name, name, f"{name}Wire"]))
        if said.get("default") is UNSET:
            kind = Union[kind, UnsetType]  # noqa: UP007 - made at run time
        elif not _fits(kind, said):
            said = {}
        fields.append((name, kind, msgspec.field(name=wire, **said)))
    if tag is None and draw(st.integers(0, 5)) == 0:
        tag = draw(st.sampled_from(_CODES))
    return msgspec.defstruct(
        draw(st.sampled_from(["One", "Two"])),
        fields,
        kw_only=True,
        frozen=draw(st.booleans()),
        tag=tag,
        tag_field="kind" if tag else None,
        array_like=array_like,
        omit_defaults=draw(st.booleans()),
        forbid_unknown_fields=draw(st.integers(0, 5)) == 0,
    )


@st.composite
def types(draw: st.DrawFn, depth: int = 2) -> Any:
    """Any type that msgspec reads; now and then one with parts."""
    plain = st.one_of(
        _text_like, _text_like, _int_like, _number(float), st.sampled_from([bool, None, Any])
    )
    if depth <= 0:
        return draw(plain)
    return draw(st.one_of(plain, plain, _array_like(depth), _object_like(depth), _union(depth)))


def _fits(kind: Any, said: dict[str, Any]) -> bool:
    """Whether a type checker would let the default pass."""
    value = said["default_factory"]() if "default_factory" in said else said.get("default")
    try:
        written = msgspec.json.encode(value)
        return type(msgspec.json.decode(written, type=kind)) is type(value)
    except (msgspec.ValidationError, TypeError):
        return False


def readable(kind: Any) -> bool:
    """Whether msgspec takes the type: not all that is drawn may be combined."""
    try:
        msgspec.json.Decoder(kind)
    except TypeError:
        return False
    return True


def mutated(value: Any, random: Random) -> Any:
    """The same payload with something in it that was perhaps not expected."""
    if isinstance(value, list) and value and random.random() < 0.8:
        changed = list(value)
        place = random.randrange(len(changed))
        match random.randrange(4):
            case 0:
                del changed[place]
            case 1:
                changed.append(changed[place])
            case _:
                changed[place] = mutated(changed[place], random)
        return changed
    if isinstance(value, dict) and random.random() < 0.8:
        changed = dict(value)
        name = random.choice([*changed, "type", "kind", "a"])
        match random.randrange(3):
            case 0:
                changed.pop(name, None)
            case _:
                changed[name] = mutated(changed.get(name), random)
        return changed
    return random.choice(
        [None, True, 0, -1, 8, 101, 2.5, "", "x", "q", "long text", "2026-01-02",
         "2026-01-02T03:04:05", "2026-01-02T03:04:05Z", "9.00", [], [1], {}, {"a": 1}]
    )  # fmt: skip


@st.composite
def changed(draw: st.DrawFn, kind: Any) -> Any:
    """The type after somebody worked on it: one to three changes somewhere in it."""
    from jetmesh.operate.evolution.describe import describe  # noqa: PLC0415 - only here
    from jetmesh.operate.evolution.rebuild import rebuild  # noqa: PLC0415 - only here

    document = msgspec.json.decode(msgspec.json.encode(describe(kind)))
    random = draw(st.randoms(use_true_random=False))
    for _ in range(draw(st.integers(1, 3))):
        _change(document, random)
    try:
        found = msgspec.convert(document, Descriptor)
        again = rebuild(found)
        msgspec.json.Decoder(again)
    except (msgspec.ValidationError, TypeError, ValueError, AttributeError, NameError):
        reject()
    return again


def _change(document: dict[str, Any], random: Random) -> None:  # noqa: C901, PLR0912 - one line for each change
    shapes = [s for s in document.get("types", {}).values() if s.get("fields")]
    enums = [s for s in document.get("types", {}).values() if s["kind"] == "enum"]
    nodes = [document["root"], *(f["type"] for s in shapes for f in s["fields"])]
    nodes += [inner for node in list(nodes) for inner in node.get("of", [])]
    node = random.choice(nodes)
    what = random.randrange(12)
    if what == 0:
        node["kind"] = random.choice(["int", "float", "str", "decimal", "any", "datetime"])
    elif what == 1 and node["kind"] in ("list", "set", "vartuple", "frozenset"):
        node["kind"] = random.choice(["list", "set", "vartuple", "frozenset"])
    elif what == 2:
        for name in ("ge", "gt", "le", "lt", "min_length", "max_length", "tz", "multiple_of"):
            if name in node:
                node.pop(name) if random.random() < 0.5 else node.update({name: 1})
    elif what == 3 and node["kind"] != "union":
        inner = dict(node)
        node.clear()
        node.update(kind="union", of=[inner, {"kind": "none"}])
    elif what == 4 and enums:
        members = random.choice(enums)["members"]
        if random.random() < 0.5 and len(members) > 1:
            members.popitem()
        elif isinstance(next(iter(members.values())), str):
            members["W"] = "w"
    elif shapes:
        shape = random.choice(shapes)
        field = random.choice(shape["fields"])
        if what == 5:
            shape["fields"].remove(field)
        elif what == 6:
            field["wire"] = random.choice(["a", "renamed"])
        elif what == 7:
            field["required"] = False
            field["default"] = {"value": random.choice([None, 0, "x"])}
        elif what == 8:
            field.pop("default", None)
            field["required"] = True
        elif what == 9 and shape["kind"] == "struct":
            name = random.choice(["tag", "array_like", "forbid_unknown_fields", "omit_defaults"])
            if name == "tag":
                shape.update(tag=random.choice("xyz"), tag_field="kind")
            else:
                shape[name] = not shape.get(name, False)
        else:
            random.shuffle(shape["fields"])
