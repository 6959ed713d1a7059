"""Settings with names that somebody may declare, and that something on their way may trip over."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, TypeAlias

from hypothesis import strategies as st
from msgspec import Meta, Struct, defstruct, field

from jetmesh.declare.setting import variable

Tree: TypeAlias = "dict[str, int | str | Tree]"

NASTY: Final = (
    "tier_2",
    "tier2",
    "smtp_host",
    "per_1k_fee",
    "v2ray",
    "a__b",
    "_a",
    "a_",
    "_",
    "__",
    "x_Y",
    "HTTPPort",
    "camelCase",
    "kebab-case",
    "_-_",
    "y",
    "N",
    "on",
    "Off",
    "null",
    "TRUE",
    "no",
    "keys",
    "values",
    "settings",
    "_1",
    "e5",
    "i18n",
    "md5_2_hex",
    "is_2xx_ok",
)
"""Digits, underscores, capitals, and words that YAML or a template reads as something else."""

Key = Annotated[str, Meta(extra={"sensitive": True})]

_legal = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def settings_of(tree: Mapping[str, Any]) -> type[Struct]:
    """A Struct whose fields are called like the keys of `tree`; a text makes a sensitive one."""
    return defstruct(
        "Odd",
        [_field(f"field_{number}", name, tree[name]) for number, name in enumerate(tree)],
        frozen=True,
    )


def given(tree: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[Any, int | str]]:
    """Every value of `tree` with its path."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from given(value, (*path, name))
        else:
            yield (*path, name), value


def told_apart(tree: Mapping[str, Any]) -> bool:
    """Whether each value has a variable of its own."""
    paths = [path for path, _ in given(tree)]
    return len({variable(path) for path in paths}) == len(paths)


def trees() -> st.SearchStrategy[Tree]:
    """Numbers, sensitive texts, and tables of both."""
    names = _names()
    numbers = st.integers(min_value=1, max_value=2**53)
    texts = st.integers(min_value=1).map("k{}".format)
    tables = st.dictionaries(names, st.one_of(numbers, texts), min_size=1, max_size=3)
    return st.dictionaries(names, st.one_of(numbers, texts, tables), min_size=1, max_size=8)


def _names() -> st.SearchStrategy[str]:
    """Short ones of few letters, so that many are almost alike, and the nasty ones."""
    short = st.text("aA1_-", min_size=1, max_size=5).filter(_legal.fullmatch)
    return st.one_of(short, st.sampled_from(NASTY))


def _field(attribute: str, name: str, value: Any) -> tuple[str, Any, Any]:
    if isinstance(value, dict):
        table = settings_of(value)
        return attribute, table, field(default=table(), name=name)
    kind: Any = Key if isinstance(value, str) else int
    return attribute, kind, field(default="" if kind is Key else 0, name=name)
