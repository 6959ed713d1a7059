"""A handler's function with all that runs around it, composed once and not for each message."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeAlias

from msgspec import Struct

from jetmesh.declare import AsyncWrap, Delivery, Wrap

Around: TypeAlias = Callable[[Struct, Delivery], Any]


def wrapped(innermost: Around, wraps: Iterable[Wrap | AsyncWrap]) -> Around:
    """Call `innermost` within `wraps`, the first one outermost.

    Where they are `async def`, all return what must be awaited.
    """
    whole = innermost
    for wrap in reversed(tuple(wraps)):
        whole = partial(_within, wrap, whole)
    return whole


def _within(wrap: Wrap | AsyncWrap, rest: Around, event: Struct, delivery: Delivery) -> Any:
    return wrap(partial(rest, event, delivery), event, delivery)
