"""What is stored on some subjects, where there is such a stream."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import cast

from jetmesh.transport.control import ControlPlane
from jetmesh.transport.stored import StoredMessage, if_exists


async def stored_on(
    control: ControlPlane,
    stream: str,
    subjects: Sequence[str],
    *,
    first: int = 1,
    most: int = 0,
    headers_only: bool = False,
) -> list[StoredMessage]:
    """The messages from sequence `first` on, at most `most` unless that is 0; none without stream.

    Raises:
        BrokerError: the broker does not answer.
    """

    async def read() -> list[StoredMessage]:
        messages: list[StoredMessage] = []
        history = control.history(stream, subjects, first=first, headers_only=headers_only)
        async with contextlib.aclosing(
            cast("AsyncGenerator[StoredMessage, None]", history)
        ) as several:
            async for message in several:
                messages.append(message)
                if len(messages) == most:
                    break
        return messages

    return await if_exists(read()) or []
