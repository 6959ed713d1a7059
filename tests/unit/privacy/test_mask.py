"""Sensitive values never survive a text, and no text commands a terminal."""

from __future__ import annotations

import json
from enum import Enum
from time import process_time
from typing import Annotated, Any
from urllib.parse import quote, quote_plus

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from jetmesh.privacy.mask import MASK, masked, masked_violation, printable, printable_json, text_of
from jetmesh.privacy.sensitive import sensitive_values

Secret = Annotated[str, Meta(extra={"sensitive": True})]
Pin = Annotated[int, Meta(extra={"sensitive": True})]


class Card(Struct, frozen=True):
    token: Secret
    pin: Pin | None = None
    brand: str = "visa"


class Nothing(Struct, frozen=True, tag="nothing"):
    pass


class Transfer(Struct, frozen=True, tag="transfer"):
    account: Secret


class Order(Struct, frozen=True, rename="camel"):
    card: Card
    spare_cards: list[Card] = []
    notes: list[Secret] = []
    by_place: dict[str, Secret] = {}
    by_secret: dict[Secret, int] = {}
    pair: tuple[str, Secret] = ("", "")
    private_or_none: Secret | None = None
    whole: Annotated[dict[str, list[str]] | None, Meta(extra={"sensitive": True})] = None
    card_whole: Annotated[Card | None, Meta(extra={"sensitive": True})] = None
    way: Nothing | Transfer = Nothing()
    anything: Any = None


ORDER = Order(
    card=Card("tok_first", 4711),
    spare_cards=[Card("tok_second")],
    notes=["tok_third"],
    by_place={"home": "tok_fourth"},
    by_secret={"tok_fifth": 1},
    pair=("plain", "tok_sixth"),
    private_or_none="tok_seventh",
    whole={"tok_eighth": ["tok_ninth"]},
    card_whole=Card("tok_tenth", brand="tok_brand"),
    way=Transfer("tok_account"),
    anything=Card("tok_hidden"),
)
SECRETS = {
    *("tok_first", "4711", "tok_second", "tok_third", "tok_fourth", "tok_fifth", "tok_sixth"),
    *("tok_seventh", "tok_eighth", "tok_ninth", "tok_tenth", "tok_brand", "tok_account"),
    "tok_hidden",
}


def test_sensitive_values_are_found_wherever_they_are() -> None:
    assert set(sensitive_values(ORDER)) == SECRETS


def test_sensitive_values_are_found_in_json_that_was_read_without_its_contract() -> None:
    raw = msgspec.json.decode(msgspec.json.encode(ORDER))
    found = set(sensitive_values(raw, Order))
    assert found >= SECRETS - {"tok_hidden"}
    assert found - SECRETS == {"token", "pin", "brand"}  # the names inside what is masked whole


@pytest.mark.parametrize("raw", [None, 3, "text", [], [1, [2]], {"card": 5}, {"notes": "x"}])
def test_json_of_another_shape_has_no_values_and_no_error(raw: object) -> None:
    assert list(sensitive_values(raw, Order)) == []


def test_an_array_like_struct_is_read_behind_its_tag() -> None:
    class Row(Struct, frozen=True, array_like=True, tag="row"):
        name: str
        token: Secret

    raw = msgspec.json.decode(msgspec.json.encode(Row("n", "tok_row")))
    assert list(sensitive_values(raw, Row)) == ["tok_row"]


def test_no_sensitive_value_survives_in_a_text_about_its_event() -> None:
    text = f"cannot charge {ORDER!r}"
    assert not [secret for secret in SECRETS if secret in masked(text, ORDER, longest=10_000)]
    assert "plain" in masked(text, ORDER, longest=10_000)


@pytest.mark.parametrize(
    "quoted", [str, repr, json.dumps, quote, quote_plus, str.upper, lambda t: quote(t, safe="")]
)
def test_a_value_is_masked_however_it_is_quoted(quoted: Any) -> None:
    for secret in ("tok/with space&'\"quote\n", "tök_é\\n", "TOK_Mixed"):
        text = masked(f"gateway said {quoted(secret)} is wrong", Card(secret))
        assert text == f"gateway said {quoted('x')} is wrong".replace("x", MASK).replace("X", MASK)


@given(st.text(min_size=6).filter(lambda t: t.strip()), st.text(max_size=40), st.text(max_size=40))
def test_no_value_of_any_characters_survives(secret: str, before: str, after: str) -> None:
    text = masked(before + secret + after, Card(secret))
    assert printable(secret) not in text.replace(MASK, "")
    assert text.isprintable()


def test_the_longer_of_two_values_is_masked_first() -> None:
    order = Order(card=Card("tok"), notes=["tok_long"])
    assert "long" not in masked("tok_long", order)


@pytest.mark.parametrize(
    "text",
    [
        "customer@example.test",
        "<customer@example.test>",
        "'customer@example.test'",
        "to=customer@example.test, cc",
        "customer+tag@sub.example.test",
        "o'brien@example.test",
        "kündin@beispiel.test",
        "http://gateway/mails?to=customer%40example.test&x=1",
        "http://gateway/mails?to=cust%2Bomer%40example.test",
        "nats://user:password@broker:4222",
    ],
)
def test_what_looks_like_an_address_is_masked_without_knowing_the_event(text: str) -> None:
    seen = masked(f"refused {text} today")
    for part in ("cust", "omer", "brien", "o'", "kündin", "example.test", "beispiel", "password"):
        assert part not in seen
    assert seen.startswith("refused ")
    assert seen.endswith(" today")


@pytest.mark.parametrize("text", ["declare it with @event(subject)", "10 @ 4.50", "a@"])
def test_an_at_sign_alone_is_no_address(text: str) -> None:
    assert masked(text) == text


def test_control_characters_and_terminal_escapes_are_written_out() -> None:
    assert printable("red \x1b[31m\r\n\x00\x9b\u202e é") == (
        "red \\x1b[31m\\r\\n\\x00\\x9b\\u202e é"
    )
    assert printable("tab\tand\x00", keep="\t") == "tab\tand\\x00"
    assert masked("a\nlevel=fake") == "a\\nlevel=fake"
    assert masked("\ud800") == "\\ud800"


@given(st.text(), st.sampled_from([0, 2]))
@example("red \x1b[31m \u202e\u2066 \u200b \xad \U000e0001 \x85", 2)
def test_json_says_the_same_and_nothing_that_a_terminal_obeys(text: str, indent: int) -> None:
    encoded = msgspec.json.format(msgspec.json.encode({text: [text]}), indent=indent)
    shown = printable_json(encoded)
    assert json.loads(shown) == {text: [text]}
    assert shown.decode().replace("\n", "").isprintable()


def test_a_text_is_cut_before_it_fills_a_header() -> None:
    assert len(masked("x y" * 1000)) == 500


@pytest.mark.parametrize("unit", ["x", "%40", "@", "a@", "'", "a'", "%4", " Invalid value '"])
def test_masking_a_hostile_text_takes_no_time(unit: str) -> None:
    """A megabyte in an error text must not stop the event loop."""
    begun = process_time()
    masked(unit * 1_000_000, Card("tok_first"))
    assert process_time() - begun < 1


def test_a_value_cut_in_half_by_the_limit_does_not_survive() -> None:
    text = "z" * 19_990 + " tok_secret_and_more"
    order = Card("z" * 100, pin=None)
    assert "tok" not in masked(text, Order(card=order, notes=["tok_secret_and_more"]))


def test_too_many_sensitive_values_withhold_the_text() -> None:
    order = Order(card=Card("t"), notes=[f"tok_{n}" for n in range(5000)])
    assert masked("about tok_4999", order) == "(a text about too many sensitive values, withheld)"


class Currency(Enum):
    EUR = "EUR"


class Checked(Struct, frozen=True, forbid_unknown_fields=True):
    currency: Currency = Currency.EUR
    card: Card | None = None
    way: Nothing | Transfer | None = None

    def __post_init__(self) -> None:
        if self.card is not None:
            raise ValueError(f"no card {self.card.token!r} here")


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        ({"currency": "tok_x - at `$.fake`"}, "$.currency"),
        ({"currency": "tok_x\n' - at "}, "$.currency"),
        ({"way": {"type": "tok_x"}}, "$.way.type"),
        ({"tok_x": 1}, ""),
        ({"card": {"token": "tok_x"}}, ""),
    ],
)
def test_a_violation_names_the_path_and_never_the_value(payload: object, path: str) -> None:
    data = msgspec.json.encode(payload)
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(data, type=Checked)
    assert "tok_x" in str(caught.value)  # msgspec, or the contract itself, does quote it
    text = masked_violation(str(caught.value), data, Checked)
    assert "tok_x" not in text
    assert path in text


@pytest.mark.parametrize(
    "payload",
    [
        b'{"data": {"card": {"token": "tok_x"}}}',
        b'[{"token": "tok_x"}]',
        b'{"body": "{\\"token\\": \\"tok_x\\"}"}',
        b'{"card": {"token": "tok_x"}, "cut of',
        b"{'card': 'tok_x'",
        b'\xef\xbb\xbf{"Token": "tok_x"}',
        '{"token": "tok_x"}'.encode("utf-16"),
        msgspec.msgpack.encode({"token": "tok_x"}),
        b"token=tok_x",
    ],
)
def test_no_value_survives_in_whatever_form_the_payload_is(payload: bytes) -> None:
    assert masked_violation("no card tok_x here", payload, Checked) == f"no card {MASK} here"


def test_what_strayed_into_a_field_for_anything_is_masked() -> None:
    order = Order(card=Card("tok_first"), anything={"old": [{"TOKEN": "tok_strayed"}]})
    assert "strayed" not in masked("about tok_strayed", order)
    order = Order(card=Card("tok_first"), anything='{"token": "tok_strayed"}')
    assert "strayed" not in masked("about tok_strayed", order)


def test_looking_for_what_strayed_takes_no_time() -> None:
    begun = process_time()
    for payload in (b'{"a":' * 300 + b"1" + b"}" * 300, b"[" + b"[]," * 400_000 + b"[]]"):
        masked_violation("text", payload, Order)
    assert process_time() - begun < 2


def test_a_violation_in_bytes_that_are_no_json_is_told_as_it_is() -> None:
    assert masked_violation("JSON is malformed: byte 3", b"\xff{", Card) == (
        "JSON is malformed: byte 3"
    )


def test_an_error_that_cannot_be_shown_is_shown_as_such() -> None:
    class RudeError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert text_of(RudeError()) == "(an error that cannot be shown)"
    assert text_of(ValueError("plain")) == "plain"
