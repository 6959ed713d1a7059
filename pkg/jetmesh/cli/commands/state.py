"""See what handlers remember of each key.

Example: jetmesh state get loyalty.accounts c-1
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from rich.text import Text

from jetmesh.cli.broker import load
from jetmesh.cli.connection import all_of, asked
from jetmesh.cli.console import show
from jetmesh.cli.options import AsJson, NatsUrl, System
from jetmesh.declare import StateSpec
from jetmesh.operate import states
from jetmesh.operate.humanize import counted
from jetmesh.operate.states import Version
from jetmesh.privacy.mask import printable
from jetmesh.transport.control import ControlPlane

_T = TypeVar("_T")
Name = Annotated[str, typer.Argument(help="The state, such as loyalty.accounts.")]
Key = Annotated[str, typer.Argument(help="The key, such as c-1.")]

app = typer.Typer(no_args_is_help=True, help=__doc__)


@app.command()
def ls(
    name: Annotated[str, typer.Argument(help="The name of one; all without it.")] = "",
    system: System = "",
    nats_url: NatsUrl = "",
    *,
    as_json: AsJson = False,
) -> None:
    """List the states with how many keys each has, or the keys of one.

    Example: jetmesh state ls loyalty.accounts
    """
    if name:
        keys = _asked(name, system, nats_url, states.keys)
        nothing = Text(f"Nothing is remembered in {name} yet.")
        show(keys, [Text(printable(key)) for key in keys] or [nothing], as_json=as_json)
        return
    nats, topology = load(system, nats_url)

    async def counts(control: ControlPlane) -> dict[str, int]:
        several = states.states_of(topology).values()
        return {spec.title: len(await states.keys(control, spec)) for spec in several}

    found = asked(nats, counts)
    lines = [Text(f"{title}  {counted(count, 'key')}") for title, count in found.items()]
    show(found, lines or [Text("No handler remembers anything.")], as_json=as_json)


@app.command()
def get(
    name: Name, key: Key, system: System = "", nats_url: NatsUrl = "", *, as_json: AsJson = False
) -> None:
    """Show what is remembered of a key now, and which message changed it last.

    Example: jetmesh state get loyalty.accounts c-1
    """
    found = _asked(name, system, nats_url, lambda c, spec: states.newest(c, spec, key))
    show(found, [_line(found)], as_json=as_json)


@app.command()
def history(
    name: Name, key: Key, system: System = "", nats_url: NatsUrl = "", *, as_json: AsJson = False
) -> None:
    """Show the versions that are kept of a key, the oldest first.

    Example: jetmesh state history loyalty.accounts c-1 --json | jq '.[].state'
    """
    found = _asked(name, system, nats_url, lambda c, spec: all_of(states.versions(c, spec, key)))
    nothing = Text(printable(f"Nothing is remembered of {key} in {name}."))
    show(found, [*map(_line, found)] or [nothing], as_json=as_json)


def _asked(
    name: str,
    reference: str,
    nats_url: str,
    ask: Callable[[ControlPlane, StateSpec], Awaitable[_T]],
) -> _T:
    nats, topology = load(reference, nats_url)
    spec = states.state_named(topology, name)
    return asked(nats, lambda control: ask(control, spec))


def _line(version: Version) -> Text:
    parts = [
        f"{version.id}  {version.stored_at:%Y-%m-%d %H:%M:%S} UTC",
        version.state or "nothing is remembered",
        f"by {version.cause}" if version.cause else "",
        f"{counted(version.waiting, 'input')} to come" if version.waiting else "",
        f"with {counted(version.following, 'output')}" if version.following else "",
    ]
    return Text(printable("  ".join(filter(None, parts))))
