"""What `jetmesh state` prints."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from rich.text import Text

from jetmesh.cli.connection import connected, load
from jetmesh.cli.console import print_json, print_lines
from jetmesh.declare import StateSpec
from jetmesh.operate import states
from jetmesh.operate.humanize import counted
from jetmesh.operate.states import Version
from jetmesh.privacy.mask import printable
from jetmesh.transport.control import ControlPlane

_T = TypeVar("_T")


def ls(name: str, reference: str, nats_url: str, *, as_json: bool) -> None:
    """Print the states, or the keys of one.

    Raises:
        JetmeshError: there is no such state, or the broker has none of it.
        BrokerError: the broker does not answer.
    """
    nats, topology = load(reference, nats_url)
    chosen = (
        [states.state_named(topology, name)] if name else [*states.states_of(topology).values()]
    )

    async def found() -> dict[str, list[str]]:
        async with connected(nats) as control:
            return {spec.title: await states.keys(control, spec) for spec in chosen}

    by_state = asyncio.run(found())
    if name:
        keys = by_state[name]
        if as_json:
            print_json(keys)
        else:
            lines = [Text(printable(key)) for key in keys]
            print_lines(lines or [Text(f"Nothing is remembered in {name} yet.")])
    elif as_json:
        print_json({title: len(keys) for title, keys in by_state.items()})
    elif not by_state:
        print_lines([Text("No handler remembers anything.")])
    else:
        print_lines(
            Text(f"{title}  {counted(len(keys), 'key')}") for title, keys in by_state.items()
        )


def get(name: str, key: str, reference: str, nats_url: str, *, as_json: bool) -> None:
    """Print the newest version of a key.

    Raises:
        JetmeshError: as `ls`, or nothing is stored of the key.
        BrokerError: the broker does not answer.
    """
    found = _asked(name, reference, nats_url, lambda c, spec: states.newest(c, spec, key))
    print_json(found) if as_json else print_lines([_line(found)])


def history(name: str, key: str, reference: str, nats_url: str, *, as_json: bool) -> None:
    """Print what is kept of a key.

    Raises:
        JetmeshError: as `ls`.
        BrokerError: the broker does not answer.
    """

    async def kept(control: ControlPlane, spec: StateSpec) -> list[Version]:
        return [each async for each in states.versions(control, spec, key)]

    found = _asked(name, reference, nats_url, kept)
    if as_json:
        print_json(found)
    else:
        nothing = Text(printable(f"Nothing is remembered of {key} in {name}."))
        print_lines([*map(_line, found)] or [nothing])


def _asked(
    name: str,
    reference: str,
    nats_url: str,
    ask: Callable[[ControlPlane, StateSpec], Awaitable[_T]],
) -> _T:
    nats, topology = load(reference, nats_url)
    spec = states.state_named(topology, name)

    async def answer() -> _T:
        async with connected(nats) as control:
            return await ask(control, spec)

    return asyncio.run(answer())


def _line(version: Version) -> Text:
    parts = [
        f"{version.id}  {version.stored_at:%Y-%m-%d %H:%M:%S} UTC",
        version.state or "nothing is remembered",
        f"by {version.cause}" if version.cause else "",
        f"{counted(version.waiting, 'input')} to come" if version.waiting else "",
        f"with {counted(version.following, 'output')}" if version.following else "",
    ]
    return Text(printable("  ".join(filter(None, parts))))
