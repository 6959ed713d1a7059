"""Resources that do not open: one sentence, whatever they raise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from jetmesh import Service
from jetmesh.errors import StartError
from jetmesh.runtime.injection import Injector


class Gateway:
    """What the resource supplies."""


def opening(error: BaseException | None) -> Injector:
    service = Service("desk")

    @service.resource
    async def gateway() -> AsyncIterator[Gateway]:
        if error is not None:
            raise error
        await asyncio.Event().wait()
        yield Gateway()

    return Injector(service, None)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ConnectionError("no route"), "ConnectionError: no route"),
        (asyncio.CancelledError(), "CancelledError"),  # as of a task that it awaited
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (type("Bad\r\nName", (Exception,), {})("x"), r"Bad\r\nName: x"),
    ],
)
async def test_whatever_a_resource_raises_is_one_sentence(error: BaseException, told: str) -> None:
    async with AsyncExitStack() as stack:
        with pytest.raises(StartError) as failed:
            await opening(error).open(stack)
    assert str(failed.value).endswith(f"failed: {told}.")
    assert len(str(failed.value).splitlines()) == 1


async def test_a_stop_while_a_resource_opens_is_a_stop() -> None:
    async with AsyncExitStack() as stack:
        opening_ = asyncio.create_task(opening(None).open(stack))
        await asyncio.sleep(0)
        opening_.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening_
