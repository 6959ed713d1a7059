"""What runs around a handler, or around publishing: a function that is given the rest as a call."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol, TypeAlias

from msgspec import Struct

from jetmesh.declare.delivery import Delivery
from jetmesh.declare.publishing import Stored
from jetmesh.errors import DeclarationError


class Call(Protocol):
    """Runs the `def` handler that is wrapped, and returns what it returns."""

    def __call__(self) -> Any: ...


class AsyncCall(Protocol):
    """Runs the `async def` handler, or the publishing, that is wrapped; await what it returns."""

    def __call__(self) -> Awaitable[Any]: ...


Wrap: TypeAlias = Callable[[Call, Struct, Delivery], Any]
"""Runs around `def` handlers."""
AsyncWrap: TypeAlias = Callable[[AsyncCall, Struct, Delivery], Awaitable[Any]]
"""Runs around `async def` handlers."""
PublishWrap: TypeAlias = Callable[[AsyncCall, Struct], Awaitable[Stored]]
"""Runs around what a Publisher publishes."""


def wraps_for(
    name: str, where: str, given: Iterable[Wrap | AsyncWrap], *, is_async: bool
) -> tuple[Wrap | AsyncWrap, ...]:
    """Those of `given` that fit a function of this kind, in their order.

    Raises:
        DeclarationError: there are some, and none of them fits: it would run unwrapped.
    """
    wraps = tuple(given)
    fitting = tuple(wrap for wrap in wraps if is_async_wrap(wrap) is is_async)
    if wraps and not fitting:
        kind, other = ("async def", "def") if is_async else ("def", "async def")
        raise DeclarationError(
            f"{where}: {name} is {kind}, but the service wraps only {other} handlers: it would "
            "run without what they are wrapped in.",
            remedy=f"Add one to wrap=[…] that is {kind}.",
        )
    return fitting


def is_async_wrap(wrap: Callable[..., Any]) -> bool:
    """Whether it must be awaited; an object with `__call__` is as good as a function."""
    return inspect.iscoroutinefunction(wrap) or inspect.iscoroutinefunction(type(wrap).__call__)
