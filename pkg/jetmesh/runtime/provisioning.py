"""The streams and durables of a service: made by itself, or waited for, as settings say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from jetmesh.declare import Topology
from jetmesh.errors import BrokerError, DriftError
from jetmesh.transport.beginnings import log_first_starts
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.provision import apply, plan

_LOOK_SECONDS: Final = 1.0
_AGAIN_SECONDS: Final = 0.05

log = structlog.get_logger()


async def wait_for_jetstream(control: ControlPlane, say: Callable[[str], None]) -> None:
    """Return once JetStream answers; `say` hears why it does not yet.

    Raises:
        BrokerError: it answers and is too old.
    """
    said = ""
    while True:
        try:
            await control.api("INFO")
        except BrokerError as error:
            said = _report(f"waiting for JetStream: {error}", said, say)
            await asyncio.sleep(_LOOK_SECONDS)
        else:
            break
    await control.check_server()


async def provision(
    control: ControlPlane, topology: Topology, *, applies: bool, say: Callable[[str], None]
) -> None:
    """Return once the server holds what is declared; `say` hears what it lacks meanwhile.

    With `applies` it is made here, unless that is refused; then, and without, somebody who may
    has to make it.
    """
    said = ""
    while True:
        try:
            if applies:
                await _apply(control, topology)
            planned = await plan(control, topology)
            if not planned.changes:
                await log_first_starts(control, topology)
                return
            difference = "; ".join(map(str, planned.changes))
            text = f"the server differs from the declaration: {difference}; run jetmesh apply"
        except BrokerError as error:
            text = f"the server does not hold what is declared: {error}"
        said = _report(text, said, say)
        await asyncio.sleep(_LOOK_SECONDS)


async def _apply(control: ControlPlane, topology: Topology) -> None:
    try:
        await apply(control, await plan(control, topology))
    except DriftError:
        # another process may have made the same thing just now: look again before it counts
        await asyncio.sleep(_AGAIN_SECONDS)
        await apply(control, await plan(control, topology))


def _report(text: str, before: str, say: Callable[[str], None]) -> str:
    if text != before:
        log.warning("not started yet", reason=text)
        say(text)
    return text
