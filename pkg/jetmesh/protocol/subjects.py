"""Subjects of the mesh's own streams; `*` in the place of a token makes a filter of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from jetmesh.protocol.lanes import Origin
from jetmesh.protocol.streams import AUDIT, DEADLETTERS, LANES, REFUSALS

NO_KEY: Final = "_"
"""The token of a message without a key."""
RETRY: Final = "later"
QUARANTINE: Final = "suspect"
WAITS: Final = "waits"
_CURSORS: Final = "cursors"
_PREFIXES: Final = {LANES: "lanes", DEADLETTERS: "deadletters", REFUSALS: "refusals"}
_AUDIT: Final = "audit"
SUBJECTS: Final[Mapping[str, str]] = {
    stream: f"{each}.>" for stream, each in {**_PREFIXES, AUDIT: _AUDIT}.items()
}
"""What each stream takes; a lane stream `lanes_of` its service alone."""


class Address(NamedTuple):
    """What a subject says."""

    service: str
    handler: str
    key_token: str = ""
    """Empty where an origin stands instead."""
    suffix: str = ""
    """`RETRY` or `QUARANTINE` behind an origin, `WAITS` behind a key."""


def address_of(subject: str) -> Address | None:
    """Read what the functions below wrote, but notes; None for what nobody of ours wrote."""
    match subject.split("."):
        case [_, service, handler, key_token]:
            return Address(service, handler, key_token)
        case [_, service, handler, _, _, suffix]:
            return Address(service, handler, suffix=suffix)
    return None


def deadletter_subject(service: str, handler: str, key_token: str) -> str:
    """Where a message is stored that was given up."""
    return f"{_PREFIXES[DEADLETTERS]}.{service}.{handler}.{key_token}"


def note_subject(deadletter: str) -> str:
    """Where it is noted what was done with the letters on the subject `deadletter`."""
    return f"{deadletter}.done"


def refusal_subject(service: str, handler: str, key_token: str) -> str:
    """Where it is marked that a decision refused a second outcome."""
    return f"{_PREFIXES[REFUSALS]}.{service}.{handler}.{key_token}"


def audit_subject(identity: str, act: str) -> str:
    """Where it is recorded what the user with the token `identity` did; `>` for whatever it was."""
    return f"{_AUDIT}.{identity}.{act}"


def lane_subject(service: str, handler: str, key_token: str) -> str:
    """Where `handler` gets what is meant for it alone; `>` for all that is on its lane."""
    return f"{_PREFIXES[LANES]}.{service}.{handler}.{key_token}"


def lanes_of(service: str) -> str:
    """Everything on the lanes of a service."""
    return f"{_PREFIXES[LANES]}.{service}.>"


def retry_subject(service: str, handler: str, origin: Origin) -> str:
    """Where a retry waits for its time: one place for each origin."""
    return lane_subject(service, handler, f"{origin.stream}.{origin.token}.{RETRY}")


def waits_subject(service: str, handler: str, key_token: str) -> str:
    """Where it is kept that messages of a key wait: one place for each key."""
    return lane_subject(service, handler, f"{key_token}.{NO_KEY}.{WAITS}")


def cursor_subject(service: str, handler: str, key_token: str) -> str:
    """Where it is kept how far an ordered handler has come with a key."""
    return f"{_CURSORS}.{service}.{handler}.{key_token}"


def cursors_of(service: str) -> str:
    """All cursors of a service."""
    return f"{_CURSORS}.{service}.>"


def quarantine_subject(service: str, handler: str, origin: Origin) -> str:
    """Where it is marked that a message runs alone."""
    return lane_subject(service, handler, f"{origin.stream}.{origin.token}.{QUARANTINE}")


def old_subject(subject: str) -> str:
    """What the two above wrote before they named the time: what was stored then is still there."""
    start, token, suffix = subject.rsplit(".", 2)
    return f"{start}.{token.partition('-')[0]}.{suffix}"


def own_subjects(service: str) -> tuple[str, ...]:
    """Everything of ours that `service` publishes."""
    return tuple(f"{prefix}.{service}.>" for prefix in _PREFIXES.values())
