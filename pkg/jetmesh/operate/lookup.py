"""Asking the broker for something that may not be there."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from jetmesh.transport.stored import NOT_FOUND, ApiError

_T = TypeVar("_T")


async def if_exists(query: Awaitable[_T]) -> _T | None:
    """What the broker answers; None when it has no such stream, durable or message.

    Raises:
        BrokerError: it refuses for another reason, or does not answer.
    """
    try:
        return await query
    except ApiError as error:
        if error.code == NOT_FOUND:
            return None
        raise
