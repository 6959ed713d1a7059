"""Which subjects a filter matches: `*` is one token, a last `>` is one or more."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=100_000)
def matches(pattern: str, subject: str) -> bool:
    """Whether `subject`, which holds no wildcards, is one of those that `pattern` names."""
    wanted, given = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted = wanted[:-1]
        if len(given) <= len(wanted):
            return False
        given = given[: len(wanted)]
    return len(wanted) == len(given) and all(
        each in ("*", token) for each, token in zip(wanted, given, strict=True)
    )


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
