"""How a process says that a reader of it lacks stored events: `/readyz` and `$SRV.STATS`, alike."""

from __future__ import annotations


def read_model_of(stream: str) -> str:
    """A read model, as it is called there."""
    return f"the read model of {stream}"


def lacking(reader: str, count: int, first: str, why: str) -> str:
    """Why it is not ready; the doctor knows it by these words."""
    return (
        f"{reader} could not take {count:,} stored {_many(count, 'event')}, "
        f"the first is {first} ({why}); "
        f"jetmesh can-deploy counts what is unread, and may_skip = {count} accepts it"
    )


def passing_over(reader: str, count: int, first: str, why: str) -> str:
    """What it notes, and is ready: somebody outside sent what it could not read."""
    return (
        f"{reader} passed over {count:,} {_many(count, 'message')} from outside, "
        f"the first is {first} ({why})"
    )


def _many(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"
