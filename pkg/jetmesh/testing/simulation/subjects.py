"""Which subjects a filter matches: `*` is one token, a last `>` is one or more."""

from __future__ import annotations

from functools import lru_cache
from itertools import takewhile


@lru_cache(maxsize=10_000)
def _parts(pattern: str) -> tuple[str, list[str], bool]:
    """What every subject begins with, the tokens, and whether more may follow."""
    tokens = pattern.split(".")
    is_open = tokens[-1] == ">"
    if is_open:
        tokens.pop()
    begin = ".".join(takewhile("*".__ne__, tokens))
    return begin, tokens, is_open


def matches(pattern: str, subject: str) -> bool:
    """Whether `subject`, which holds no wildcards, is one of those that `pattern` names."""
    begin, wanted, is_open = _parts(pattern)
    if not subject.startswith(begin):
        return False
    given = subject.split(".")
    if len(given) <= len(wanted) if is_open else len(given) != len(wanted):
        return False
    return all(each in ("*", token) for each, token in zip(wanted, given, strict=False))


def is_plain(subject: str) -> bool:
    """Whether a message can have this subject: it has tokens, and no wildcards."""
    return all(token and token not in ("*", ">") for token in subject.split("."))


def overlap(one: str, other: str) -> bool:
    """Whether some subject matches both patterns."""
    first, second = one.split("."), other.split(".")
    for a, b in zip(first, second, strict=False):
        if ">" in (a, b):
            return True
        if a != b and "*" not in (a, b):
            return False
    return len(first) == len(second)
