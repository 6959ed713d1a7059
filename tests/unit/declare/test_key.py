"""A key, whatever it is, becomes one legal token of a subject, and comes back."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jetmesh import ContractViolation
from jetmesh.declare.key import MAX_KEY_BYTES, escape_key, unescape_key

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60)
keys = texts.filter(lambda text: len(text.encode()) <= MAX_KEY_BYTES)


@given(keys)
@example("p-1")
@example("a.b c*d>e%f,g")
@example("%2E")
@example("café ☕ \U0001f600")
@example("\x00\r\n\t\x7f")
def test_a_key_comes_back_from_its_escaped_form(key: str) -> None:
    assert unescape_key(escape_key(key)) == key


@given(keys)
@example(".")
@example("*")
@example(">")
@example("\u2028\u00a0")
def test_an_escaped_key_is_one_legal_token(key: str) -> None:
    token = escape_key(key)
    assert re.fullmatch(r"[!-~]+", token), "a token has printable ASCII only"
    assert not set(token) & set(".*> \t\r\n"), "a token has nothing that subjects reserve"
    assert len(token) <= 3 * MAX_KEY_BYTES


@given(keys, keys)
@example("a.b", "a%2Eb")
@example("a b", "a+b")
def test_different_keys_never_share_a_token(one: str, other: str) -> None:
    assert (escape_key(one) == escape_key(other)) == (one == other)


@given(st.text(st.sampled_from("abcXYZ019-_:/@"), min_size=1, max_size=MAX_KEY_BYTES))
def test_a_plain_key_stays_readable(key: str) -> None:
    assert escape_key(key) == key


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("", id="empty"),
        pytest.param("x" * (MAX_KEY_BYTES + 1), id="one byte too long"),
        pytest.param("é" * (MAX_KEY_BYTES // 2 + 1), id="too long in bytes, not in characters"),
        pytest.param("." * (MAX_KEY_BYTES + 1), id="too long and reserved"),
        pytest.param("\ud800", id="half a surrogate pair"),
    ],
)
def test_a_key_that_no_subject_can_carry_violates_the_contract(key: str) -> None:
    with pytest.raises(ContractViolation, match="key"):
        escape_key(key)


@pytest.mark.parametrize("key", ["x" * MAX_KEY_BYTES, "é" * (MAX_KEY_BYTES // 2), "." * 200])
def test_a_key_of_the_greatest_length_is_taken(key: str) -> None:
    assert unescape_key(escape_key(key)) == key


def test_the_violation_does_not_quote_the_key() -> None:
    """It may be somebody's name."""
    with pytest.raises(ContractViolation) as raised:
        escape_key("somebody" * 100)
    assert "somebody" not in str(raised.value)
