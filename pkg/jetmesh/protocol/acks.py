"""Subjects on which deliveries are settled, in both forms that servers write.

    $JS.ACK.<stream>.<durable>.<delivered>.<sequence>.<number>.<time>.<pending>
    $JS.ACK.<domain>.<account>.<stream>.<durable>.….<random>        with `js_ack_fc_v2`, ADR-15

A server sends one form or the other, never both; which one, its configuration says.
"""

from __future__ import annotations

from typing import Final

ACK: Final = "$JS.ACK."
_SHORT: Final = 9
"""Tokens of the first form; the second one has more."""


def ack_subjects(stream: str, durable: str) -> tuple[str, str]:
    """What covers every verdict on a durable and nothing else, whatever domain and account."""
    return f"{ACK}{stream}.{durable}.>", f"{ACK}*.*.{stream}.{durable}.>"


def durable_of(subject: str) -> tuple[str, str]:
    """Stream and durable of an ack subject; empty when it is none."""
    tokens = subject.split(".")
    first = 2 if len(tokens) == _SHORT else 4
    if not subject.startswith(ACK) or len(tokens) < _SHORT:
        return "", ""
    return tokens[first], tokens[first + 1]


def covering(subject: str) -> str:
    """The one of `ack_subjects` that covers an ack subject, for its durable alone."""
    stream, durable = durable_of(subject)
    if not stream:
        return subject
    short, long = ack_subjects(stream, durable)
    return short if subject.startswith(short[:-1]) else long
