"""Personal data stays out of logs, headers and error texts: sensitive values are masked.

A contract marks a field with `Meta(extra={"sensitive": True})`. Beside these values, whatever
looks like an e-mail address is masked in every text, whoever wrote it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final
from urllib.parse import quote, quote_plus

import msgspec

from jetmesh.privacy.readable import data_in, scalars_in, text_in
from jetmesh.privacy.sensitive import sensitive_values

MASK: Final = "•••"
_LONGEST: Final = 500
_READ: Final = 20_000
"""Of a longer text only so much is looked at: a message must not buy seconds of masking."""
_MOST_VALUES: Final = 1_000
_LONGEST_NAME: Final = 200
_class_name: Final = type.__dict__["__name__"].__get__
_WITHHELD: Final = "(a text about too many sensitive values, withheld)"

# Each starts only where a word starts and never goes back, so its time grows with the text, not
# with the square of it. An apostrophe inside a word belongs to it, a quote around it does not.
_part = r"(?:[^\s<>\"'@]|(?<=\w)'(?=\w))++"
_address = re.compile(rf"(?<![^\s<>\"'@])(?<!\w'){_part}(?:@{_part})+")
_quoted_address = re.compile(r"(?<![\w.+%-])(?:[\w.+-]|%(?!40)[0-9A-Fa-f]{2})++%40[\w.-]+")
_unprintable = re.compile(r"[^ -~]")
_quoted_value = re.compile(
    r"(Invalid (?:enum )?value|Object contains unknown field) (?:['\"`]|-?\d)(?:.*(?= - at `)|.*)",
    re.DOTALL,
)


def masked(text: str, event: Any = None, *, longest: int = _LONGEST) -> str:
    """`text` in one printable line, without the sensitive values of `event`."""
    return printable(_without_values(text, _values(event)))[:longest]


def masked_violation(text: str, payload: bytes, contract: type[msgspec.Struct]) -> str:
    """`text` about a payload that does not keep its contract, without what it may quote.

    msgspec quotes some values and a contract's own check may quote any, so the payload is read
    without its contract once more, to know what has to be masked. Of what cannot be read all
    values have.
    """
    data = data_in(payload)
    values = _values(data.values, contract) if data else _first(scalars_in(text_in(payload) or ""))
    return printable(_without_values(text, values))[:_LONGEST]


def text_of(error: BaseException) -> str:
    """What `error` says, whatever its `__str__` does."""
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 - a text that cannot be made must not end the connection
        return "(an error that cannot be shown)"


def name_of(error: BaseException) -> str:
    """The name of `error`'s class in one printable line, whatever its metaclass does."""
    name: str = _class_name(type(error))
    return printable(name)[:_LONGEST_NAME]


def printable(text: str, *, keep: str = "") -> str:
    """`text` with control characters written out, but those in `keep`: no terminal obeys them."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text
    )


def printable_json(encoded: bytes) -> bytes:
    """JSON that says the same, with all that a terminal may obey written as JSON writes ESC.

    JSON itself lets stand what turns the direction of a text, and what cannot be seen.
    """
    text = encoded.decode()
    if text.isprintable():
        return encoded
    return _unprintable.sub(_as_escape, text).encode()


def _as_escape(found: re.Match[str]) -> str:
    c = found[0]
    return c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1]


def _values(event: Any, *contracts: type[msgspec.Struct]) -> list[str]:
    several = event if contracts else [event]
    try:
        return _first(text for each in several for text in sensitive_values(each, *contracts))
    except RecursionError:  # too deep, or too much of it
        return [""] * (_MOST_VALUES + 1)


def _first(values: Iterable[str]) -> list[str]:
    return [*islice(dict.fromkeys(filter(str.strip, values)), _MOST_VALUES + 1)]


def _without_values(text: str, values: list[str]) -> str:
    if len(values) > _MOST_VALUES:
        return _WITHHELD
    spellings = sorted({s for value in values for s in _spellings(value)}, key=len, reverse=True)
    is_cut = len(text) > _READ
    text = _quoted_value.sub(r"\1", text[:_READ])
    for spelling in spellings:
        text = text.replace(spelling, MASK)
    text = _quoted_address.sub(MASK, _address.sub(MASK, text))
    if is_cut:  # its end may be the beginning of a value
        text = text[: -max(_LONGEST, *map(len, spellings), 1)]
    return text


def _spellings(value: str) -> Iterator[str]:
    """The forms in which a text may quote `value`: as it is, in Python, JSON or a url."""
    for each in (value, value.lower(), value.upper()):
        yield each
        yield repr(each)[1:-1]
        yield json.dumps(each)[1:-1]
        yield json.dumps(each, ensure_ascii=False)[1:-1]
        yield quote(each, errors="replace")
        yield quote(each, safe="", errors="replace")
        yield quote_plus(each, errors="replace")
