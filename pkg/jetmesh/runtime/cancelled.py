"""Who cancels: somebody who wants a task to end, or the code in it, by itself."""

from __future__ import annotations

import asyncio


def is_cancelled() -> bool:
    """Whether the running task was told to end.

    Code may raise CancelledError on its own, as when it awaits another task that was cancelled;
    and it may answer a cancellation with any other error.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
