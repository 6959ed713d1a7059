"""From a subject or a name to the names in Python that stand for it."""

from __future__ import annotations

import keyword
import re
from typing import Final

from jetmesh.errors import UsageError

_name = re.compile(r"[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*")
_subject = re.compile(rf"{_name.pattern}(?:\.[a-z0-9]+(?:[_-][a-z0-9]+)*)+")
_between: Final = re.compile(r"[._-]")


def checked_name(name: str, what: str) -> str:
    """`name`, when a package or module can be called like it.

    Raises:
        UsageError: it cannot.
    """
    if _name.fullmatch(name) is None or keyword.iskeyword(name):
        raise UsageError(
            f"{name!r} cannot name a {what}.",
            remedy="Use lower-case letters and digits, with single '-' between them.",
        )
    return name


def checked_subject(subject: str) -> str:
    """`subject`, when an event can have it.

    Raises:
        UsageError: it cannot.
    """
    if _subject.fullmatch(subject) is None:
        raise UsageError(
            f"{subject!r} cannot be the subject of an event.",
            remedy="Write <domain>.<what happened> in lower case, such as car.left.",
        )
    return subject


def identifier(text: str) -> str:
    """`car.left` or `car-left` as `car_left`."""
    return _between.sub("_", text)


def type_name(subject: str) -> str:
    """`car.left` as `CarLeft`."""
    return "".join(part.capitalize() for part in _between.split(subject))


def title(name: str) -> str:
    """`parking-log` as `Parking log`."""
    return " ".join(_between.split(name)).capitalize()
