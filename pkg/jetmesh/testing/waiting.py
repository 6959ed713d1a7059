"""Wait for what comes true."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

_LOOK_SECONDS: Final = 0.02


async def eventually(
    condition: Callable[[], Any], *, within: float = 10.0, what: str = "the condition"
) -> Any:
    """Wait until `condition()` is true and return it; awaits it when it is a coroutine.

    Raises:
        AssertionError: it is not true after `within` seconds.
    """
    try:
        async with asyncio.timeout(within) as limit:
            while True:
                result = condition()
                if asyncio.iscoroutine(result):
                    result = await result
                if result:
                    return result
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError:
        if limit.expired():
            raise AssertionError(f"{what} did not come true within {within} s") from None
        raise
