"""A command's connections to the broker."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

from jetmesh.cli.output import echo, finishing
from jetmesh.operate.audit import AuditRecord, recorded
from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane

_T = TypeVar("_T")


@asynccontextmanager
async def connected(settings: NatsSettings) -> AsyncIterator[ControlPlane]:
    """A connection for the block.

    Raises:
        BrokerError: nobody answers, or the server refuses us or is too old.
    """
    control = await ControlPlane.connect(settings, name="jetmesh-cli")
    async with control:
        await control.check_server()
        yield control


def asked(nats: NatsSettings, ask: Callable[[ControlPlane], Awaitable[_T]]) -> _T:
    """What `ask` finds out on a connection of its own.

    Raises:
        BrokerError: nobody answers, or the server refuses us or is too old.
    """

    async def answer() -> _T:
        async with connected(nats) as control:
            return await ask(control)

    return asyncio.run(answer())


async def all_of(several: AsyncIterable[_T]) -> list[_T]:
    """Everything that is read, for `asked`."""
    return [each async for each in several]


def act(
    nats: NatsSettings,
    record: AuditRecord,
    do: Callable[[ControlPlane, Counter[str]], Awaitable[None]],
) -> None:
    """Do what `record` says, and have it recorded; `do` counts what it did.

    Raises:
        BrokerError: it cannot be recorded or done.
    """

    async def acting() -> None:
        async with (
            connected(nats) as control,
            recorded(control, record, partial(echo, err=True)) as outcome,
        ):
            await do(control, outcome)

    with finishing():
        asyncio.run(acting())
