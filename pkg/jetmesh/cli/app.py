"""The `jetmesh` command: which commands there are, and how one is called.

Each is a module of `commands`, whose docstring is its help.
"""

from __future__ import annotations

import platform
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from jetmesh import __version__
from jetmesh.cli.output import echo

COMMANDS: Final = {
    "Begin": ("init", "new"),
    "Run on this machine": ("up", "run", "down", "clean"),
    "Publish and look": (
        *("publish", "trace", "logs", "doctor", "heal"),
        *("deadletters", "audit", "state", "process", "schedule"),
    ),
    "Declare and deploy": (
        *("topology", "settings", "plan", "apply", "can-deploy", "rehearse"),
        *("contracts", "deploy"),
    ),
}
"""By the panel of the help that lists them."""
_FOLDER: Final = Path(__file__).parent / "commands"


class _Commands(TyperGroup):
    """Imports a command when it is called: all of them together take a second."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, _, rest = super().resolve_command(ctx, args)
        return name, name and command(name), rest


def command(name: str) -> Any:
    """A command as typer has it: the module's function of its name, or the group `app`."""
    module = import_module(f"jetmesh.cli.commands.{name.replace('-', '_')}")
    if group := getattr(module, "app", None):
        return get_group(group)
    alone = typer.Typer(add_completion=False, rich_markup_mode="rich")
    alone.command(help=module.__doc__)(getattr(module, name.replace("-", "_")))
    return get_command(alone)


def _summary(name: str) -> str:
    """The first line of a command's help, read without importing it."""
    with (_FOLDER / f"{name.replace('-', '_')}.py").open(encoding="utf-8") as source:
        return source.readline().strip('"\n')


def _exit(code: int | None, **_: Any) -> NoReturn:
    """A command returns its exit code; None is 0."""
    raise typer.Exit(code or 0)


app = typer.Typer(
    name="jetmesh",
    cls=_Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    result_callback=_exit,
    help="A reactive service mesh on NATS JetStream.\n\n"
    "[bold]jetmesh up[/bold] starts everything on this machine; in another terminal:\n\n"
    "  jetmesh publish purchases.created examples/purchases/good.json\n\n"
    "  jetmesh trace p-1\n\n"
    "The system is found through \\[tool.jetmesh] in pyproject.toml, JETMESH_SYSTEM or --system.",
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        echo(f"jetmesh {__version__}, Python {platform.python_version()}")
        raise typer.Exit


@app.callback()
def options(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """What every command takes; the version is printed before anything else is read."""


def _listed() -> None:
    """Stands for a command in the help of all."""


for _panel, _names in COMMANDS.items():
    for _name in _names:
        app.command(_name, help=_summary(_name), rich_help_panel=_panel)(_listed)
