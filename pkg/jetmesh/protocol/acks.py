"""Subjects on which deliveries are settled, in both forms that servers write.

    $JS.ACK.<stream>.<durable>.<delivered>.<sequence>.<number>.<time>.<pending>
    $JS.ACK.<domain>.<account>.<stream>.<durable>.….<random>        with `js_ack_fc_v2`, ADR-15

A server sends one form or the other, never both; which one, its configuration says.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

ACK: Final = "$JS.ACK."
_NUMBERS: Final = 5
SHORT: Final = 9
"""Tokens of the first form; the second one has more."""
DOMAIN: Final = slice(2, 4)
"""Domain and account, which the second form has before the stream."""


def ack_subjects(stream: str, durable: str) -> tuple[str, str]:
    """What covers every verdict on a durable and nothing else, whatever domain and account."""
    return f"{ACK}{stream}.{durable}.>", f"{ACK}*.*.{stream}.{durable}.>"


def durable_of(subject: str) -> tuple[str, str]:
    """Stream and durable of an ack subject; empty when it is none."""
    tokens = subject.split(".")
    first = 2 if len(tokens) == SHORT else 4
    if not subject.startswith(ACK) or len(tokens) < SHORT:
        return "", ""
    return tokens[first], tokens[first + 1]


def is_ack(reply: bytes, stream: str, durable: str) -> bool:
    """Whether `reply` is where the server wants the verdict on a delivery of this durable.

    Anybody who may publish on our inbox can write another one: a subject that we may publish on,
    for instance, and our ack would be stored there.
    """
    start = _start(stream, durable)
    if reply.startswith(start):
        numbers = reply[len(start) :].split(b".")
        if len(numbers) == _NUMBERS:  # of the first form, as most servers write it
            return all(map(bytes.isdigit, numbers))
    tokens = reply.split(b".")
    if len(tokens) != SHORT:
        del tokens[DOMAIN]
    numbers = tokens[4 : 4 + _NUMBERS]
    known = b".".join(tokens[:4]) + b"." == start and len(numbers) == _NUMBERS
    return known and all(map(bytes.isdigit, numbers))


@lru_cache(maxsize=1024)
def _start(stream: str, durable: str) -> bytes:
    return f"{ACK}{stream}.{durable}.".encode()


def numbers_of(subject: bytes) -> list[bytes]:
    """What follows the durable, as above."""
    tokens = subject.split(b".")
    if len(tokens) != SHORT:
        del tokens[DOMAIN]
    return tokens[4:]


def covering(subject: str) -> str:
    """The one of `ack_subjects` that covers an ack subject, for its durable alone."""
    stream, durable = durable_of(subject)
    if not stream:
        return subject
    short, long = ack_subjects(stream, durable)
    return short if subject.startswith(short[:-1]) else long
