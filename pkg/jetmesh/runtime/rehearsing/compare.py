"""What a rehearsed message led to, beside what is stored of it: the same, or what kind of other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import zip_longest
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import Struct

from jetmesh.declare import EventSpec, Handler
from jetmesh.privacy.mask import masked, masked_violation, text_of
from jetmesh.privacy.sensitive import sensitive_values
from jetmesh.protocol import headers as header
from jetmesh.runtime.rehearsing.cut import Attempt
from jetmesh.runtime.rehearsing.stage import Result
from jetmesh.runtime.rehearsing.stored import Known, read, spec_of
from jetmesh.transport.reader import reader_of
from jetmesh.transport.stored import StoredMessage

Verdict: TypeAlias = Literal[
    "same", "open", "gone", "today", "others", "passes", "differs", "fails", "network"
]
_LONGEST: Final = 160
_DIFFER: Final = "differ"
_MOST_PATHS: Final = 4
_LISTS: Final = (list, tuple)


@dataclass(frozen=True, slots=True)
class Difference:
    """Of which kind one message is, and what is to be seen of it."""

    verdict: Verdict
    kind: str = ""
    """A name for `--allow`: equal for what differs in the same way."""
    verb: str = ""
    """What such messages do: `would be dead-lettered`."""
    about: str = ""
    """In what, or why: `KeyError` at a line."""
    detail: str = ""
    """Of this message alone, masked."""


SAME: Final = Difference("same")


def judge(
    handler: Handler, known: Known, result: Result | None, attempts: Sequence[Attempt]
) -> Difference:
    """Compare what a message led to, None when it was not run, with what is stored of it."""
    if attempts:
        return reached(handler, attempts[0])
    if result is None:
        return Difference("others")
    if result.failure is not None:
        return _failed(known, result, result.failure)
    broken = next(filter(None, (_broken(handler, *each) for each in result.outputs)), None)
    return broken or _beside_stored(handler, known, result)


def _beside_stored(handler: Handler, known: Known, result: Result) -> Difference:
    if known.fate in ("open", "gone", "today"):
        return Difference(known.fate)
    if known.fate == "letter":
        about = f"a letter of `{known.error}` is stored"
        return Difference("passes", f"passes:{known.error}", "would pass now", about)
    return _outputs(handler, known, result)


def reached(handler: Handler, attempt: Attempt) -> Difference:
    """A handler that would have had an effect which nobody declared."""
    name = handler.title
    where = attempt.where or "/".join(handler.where.split("/")[-2:])
    about = f"`{name}` {attempt.what} at {where}"
    return Difference("network", f"network:{name}", "would have an effect", about)


def _failed(known: Known, result: Result, failure: Any) -> Difference:
    error, where = failure.get(header.ERROR, ""), failure.get(header.WHERE, "")
    if known.fate == "letter" and known.error == error:
        return SAME
    if known.fate == "open" and result.ended != "terminated":
        return Difference("open")
    kind, verb = "letter", "would be dead-lettered"
    if result.waits:
        kind, verb = "waits", "would wait"
    elif result.ended != "terminated":
        kind, verb = "again", "would be tried again"
    # as `shop/payments.py:88 in charge`, of which the function says no more than the handler
    at = f" at {where.partition(' in ')[0]}" if where else ""
    text = failure.get(header.MESSAGE, "")
    return Difference("fails", f"{kind}:{error}", verb, f"`{error}`{at}", text)


def _broken(handler: Handler, subject: str, payload: bytes) -> Difference | None:
    """What the encoder did not see: an output that no reader could decode."""
    spec = spec_of(handler, subject)
    assert spec is not None  # noqa: S101 - it was published by this handler
    try:
        reader_of(spec).decode(payload)
    except Exception as error:  # noqa: BLE001 - a contract's own check may raise anything
        text = masked_violation(text_of(error), payload, spec.type)
        verb, about = "would publish what breaks its contract", f"`{spec.subject}`"
        return Difference("fails", f"contract:{spec.subject}", verb, about, text)
    return None


def _outputs(handler: Handler, known: Known, result: Result) -> Difference:
    """The first output that is another, missing, or new."""
    stored = {message.subject: message for message in known.outputs}
    new = dict(result.outputs)
    for subject in [subject for subject in new if subject in stored]:
        found = _fields(handler, subject, new.pop(subject), stored.pop(subject))
        if found != SAME:
            return found
    if not new and not stored:
        return SAME
    return _changed(handler, next(iter(new.items()), None), next(iter(stored.values()), None))


def _fields(handler: Handler, subject: str, payload: bytes, stored: StoredMessage) -> Difference:
    """One event on the same subject twice: which fields are others."""
    spec = spec_of(handler, subject)
    assert spec is not None  # noqa: S101 - it was published by this handler
    return between(spec, stored, reader_of(spec).decode(payload))


def between(spec: EventSpec, stored: StoredMessage, now: Any) -> Difference:
    """An event or a state beside a stored one: which fields are others."""
    before = read(spec, stored)
    if before is None and stored.payload:
        about = f"the stored `{spec.subject}` cannot be read"
        return Difference("differs", f"unreadable:{spec.subject}", _DIFFER, about)
    found = list(_differing(before, now))
    if not found:
        return SAME
    paths = sorted({at.generic for at, _, _ in found})
    named = ",".join(paths[:_MOST_PATHS]) + (",…" if len(paths) > _MOST_PATHS else "")
    named = named or "whether there is one"
    texts = [f"{at.path} {_short(old)} is now {_short(new)}" for at, old, new in found]
    return Difference(
        "differs",
        f"field:{spec.subject}:{named}",
        _DIFFER,
        f"`{spec.subject}` in {named.replace(',', ', ')}",
        _masked("; ".join(texts[:_MOST_PATHS]), before, now),
    )


def _changed(
    handler: Handler, output: tuple[str, bytes] | None, stored: StoredMessage | None
) -> Difference:
    """Another event than the stored one, or one of the two alone."""
    now = before = None
    name = old_name = "nothing"
    if output is not None:
        spec = spec_of(handler, output[0])
        assert spec is not None  # noqa: S101 - it was published by this handler
        name, now = spec.subject, reader_of(spec).decode(output[1])
    if stored is not None:
        spec = spec_of(handler, stored.subject)
        old_name = spec.subject if spec else stored.subject.rpartition(".")[0]
        before = read(spec, stored) if spec else None
    codes = _codes(now) or _codes(before)
    of = "is stored" if old_name != name else "with another key is stored"
    told = f": {', '.join(codes)}" if codes else ""
    return Difference(
        "differs",
        ":".join(["outcome", name, *codes]),
        _DIFFER,
        f"{_quoted(name)} where {_quoted(old_name)} {of}{told}",
        _masked(_only_in(now, before), before, now),
    )


def _quoted(name: str) -> str:
    return name if name == "nothing" else f"`{name}`"


def _codes(event: Any) -> list[str]:
    """The codes in an event, which say why: every value of an enumeration, once."""
    hidden = set(sensitive_values(event)) if event is not None else set()
    return [code for code in dict.fromkeys(_enums(event)) if code not in hidden]


def _enums(value: Any) -> Iterator[str]:
    if isinstance(value, Enum):
        yield str(value.value)
    elif isinstance(value, Struct):
        for name in value.__struct_fields__:
            yield from _enums(getattr(value, name))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _enums(each)


def _only_in(now: Any, before: Any) -> str:
    """What the new event says and the stored one does not."""
    if now is None:
        return ""
    others = before.__struct_fields__ if before is not None else ()
    data = msgspec.to_builtins(now)
    own = {name: value for name, value in data.items() if name not in others}
    return ", ".join(f"{name} {_short(value)}" for name, value in own.items())


class _Place(NamedTuple):
    """Where two values differ, exactly and without the keys that lead there."""

    path: str = ""
    generic: str = ""

    def field(self, name: str) -> _Place:
        return _Place(*(f"{each}.{name}" if each else name for each in self))

    def item(self, key: object) -> _Place:
        return _Place(f"{self.path}[{key}]", f"{self.generic}[]")


def _differing(
    before: Any, now: Any, at: _Place | None = None
) -> Iterator[tuple[_Place, Any, Any]]:
    """Where two values differ: place, old, new."""
    at = at or _Place()
    if _is_equal(before, now):
        return
    if isinstance(now, Struct) and type(before) is type(now):
        for name in now.__struct_fields__:
            yield from _differing(getattr(before, name), getattr(now, name), at.field(name))
    elif isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*before, *now]):
            yield from _differing(before.get(key), now.get(key), at.item(key))
    elif isinstance(before, _LISTS) and isinstance(now, _LISTS):
        for n, (one, other) in enumerate(zip_longest(before, now)):
            yield from _differing(one, other, at.item(n))
    else:
        yield at, before, now


def _is_equal(before: Any, now: Any) -> bool:
    """9.0 is 9.00, and NaN is NaN, of which some raise when they are compared."""
    if msgspec.json.encode(before) == msgspec.json.encode(now):
        return True
    with contextlib.suppress(ArithmeticError):
        return bool(before == now)
    return False


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _masked(text: str, *events: Any) -> str:
    for event in events:
        text = masked(text, event, longest=10 * _LONGEST)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
