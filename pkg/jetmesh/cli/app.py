"""The commands and their help; each calls the module that does the work."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Annotated

import typer

from jetmesh import __version__
from jetmesh.cli.audit.app import audit
from jetmesh.cli.candeploy.app import can_deploy
from jetmesh.cli.contracts.app import contracts
from jetmesh.cli.deadletters.app import deadletters
from jetmesh.cli.deploy.app import deploy
from jetmesh.cli.logs import logs
from jetmesh.cli.new import new
from jetmesh.cli.options import AsJson, NatsUrl, System
from jetmesh.cli.output import echo
from jetmesh.cli.planning import plan
from jetmesh.cli.processes.app import processes
from jetmesh.cli.rehearse import rehearse
from jetmesh.cli.schedules.app import schedules
from jetmesh.cli.start import up
from jetmesh.cli.states.app import states

app = typer.Typer(
    name="jetmesh",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A reactive service mesh on NATS JetStream.\n\n"
    "[bold]jetmesh up[/bold] starts everything on this machine; in another terminal:\n\n"
    "  jetmesh publish purchases.created examples/purchases/good.json\n\n"
    "  jetmesh trace p-1\n\n"
    "The system is found through \\[tool.jetmesh] in pyproject.toml, JETMESH_SYSTEM or --system.",
)

_BEGIN = "Begin"
_RUN = "Run on this machine"
_INSPECT = "Publish and look"
_DEPLOY = "Declare and deploy"

app.add_typer(new, name="new", rich_help_panel=_BEGIN)
app.add_typer(deadletters, name="deadletters", rich_help_panel=_INSPECT)
app.add_typer(audit, name="audit", rich_help_panel=_INSPECT)
app.add_typer(states, name="state", rich_help_panel=_INSPECT)
app.add_typer(processes, name="process", rich_help_panel=_INSPECT)
app.add_typer(schedules, name="schedule", rich_help_panel=_INSPECT)
app.add_typer(contracts, name="contracts", rich_help_panel=_DEPLOY)
app.add_typer(deploy, name="deploy", rich_help_panel=_DEPLOY)


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


@app.command(rich_help_panel=_BEGIN)
def init(
    name: Annotated[str, typer.Argument(help="Of the project, its directory and its package.")],
) -> None:
    """Write a small project that runs at once: events, a service, its test.

    It gets a directory of its own below this one; nothing that exists is overwritten. Then
    `jetmesh up` starts it, and `jetmesh new service` adds to it.

    Example: jetmesh init garage
    """
    from jetmesh.cli import new as commands  # noqa: PLC0415 - see the package

    commands.init(name)


app.command(rich_help_panel=_RUN)(up)


@app.command(rich_help_panel=_RUN)
def run(
    services: Annotated[
        list[str],
        typer.Argument(
            metavar="SERVICE...",
            help="A service's name, or the module that holds it (garage.pricing).",
        ),
    ],
    system: System = "",
) -> None:
    """Run one service in this terminal until Ctrl-C, or several in one process.

    It uses the broker of `jetmesh up` where that runs and no other is set.
    cmd/SERVICE/main.py is run where there is one; a service needs none. Several run without it, and
    share one event loop: for development and small machines.

    Example: jetmesh run pricing

    Example: jetmesh run garage.pricing

    Example: jetmesh run pricing billing
    """
    from jetmesh.cli import run as commands  # noqa: PLC0415 - see the package

    commands.run(services, system)


@app.command(rich_help_panel=_RUN)
def down(system: System = "") -> None:
    """Stop a mesh that was started in another terminal, and wait until it has stopped.

    Example: jetmesh down
    """
    from jetmesh.cli import up as commands  # noqa: PLC0415 - see the package

    commands.down(system)


@app.command(rich_help_panel=_RUN)
def clean(system: System = "") -> None:
    """Delete everything that this project's mesh has stored.

    Example: jetmesh down && jetmesh clean
    """
    from jetmesh.cli import up as commands  # noqa: PLC0415 - see the package

    commands.clean(system)


@app.command(rich_help_panel=_INSPECT)
def publish(
    subject: Annotated[str, typer.Argument(help="The events' subject, such as purchases.created.")],
    file: Annotated[
        str, typer.Argument(help="A file with one JSON object, or one per line; - reads stdin.")
    ],
    system: System = "",
    nats_url: NatsUrl = "",
) -> None:
    """Check events against their contract, store them, and say where.

    Example: jetmesh publish purchases.created examples/purchases/good.json

    Example: jq -c '.[]' many.json | jetmesh publish purchases.created -
    """
    from jetmesh.cli import publish as commands  # noqa: PLC0415 - see the package

    commands.publish(subject, file, system, nats_url)


@app.command(rich_help_panel=_INSPECT)
def trace(
    key: Annotated[str, typer.Argument(help="The key that the events are about, such as p-1.")],
    system: System = "",
    nats_url: NatsUrl = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Show the story of a key, read from the streams: what caused what, when, what it waits for.

    Example: jetmesh trace p-1
    """
    from jetmesh.cli import trace as commands  # noqa: PLC0415 - see the package

    commands.trace(key, system, nats_url, as_json=as_json)


app.command(rich_help_panel=_INSPECT)(logs)


@app.command(rich_help_panel=_INSPECT)
def heal(
    places: Annotated[
        list[str] | None,
        typer.Argument(metavar="[STREAM:N]", help="As /readyz and doctor name it: ORDERS:17."),
    ] = None,
    system: System = "",
    nats_url: NatsUrl = "",
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without a question.")] = False,
) -> None:
    """Show forged messages that services wait for, and remove those that are named.

    A service keeps an input when something stands where its output belongs that it cannot have
    stored. Once that is removed, for ever, the input goes on. What its owner can have made is
    never removed.

    Example: jetmesh heal

    Example: jetmesh heal ORDERS:17
    """
    from jetmesh.cli import heal as commands  # noqa: PLC0415 - see the package

    commands.run(places or [], system, nats_url, yes=yes)


@app.command(rich_help_panel=_INSPECT)
def doctor(
    system: System = "",
    nats_url: NatsUrl = "",
    monitoring: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="A server's monitoring URL, such as http://nats-0:8222: adds disks and fsync.",
        ),
    ] = None,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between the two looks.")] = 5.0,
    watch: Annotated[
        float, typer.Option(min=0.0, help="Look again every N seconds, until Ctrl-C.")
    ] = 0.0,
    *,
    once: Annotated[
        bool, typer.Option("--once", help="Look only once: growth cannot be judged.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 on warnings as well.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Report what is wrong with a running mesh, how it was seen, and what to do about it.

    Exits with 0 when nothing is wrong, 1 when there is a problem, 2 when it cannot ask or tell.
    docs/doctor.md explains every finding.

    Example: jetmesh doctor --monitoring http://nats-0:8222,http://nats-1:8222

    Example: jetmesh doctor --once --json | jq -r '.findings[] | .severity + " " + .sentence'
    """
    from jetmesh.cli import doctor as commands  # noqa: PLC0415 - see the package

    options = commands.Options(
        once=once, interval=interval, watch=watch, strict=strict, as_json=as_json
    )
    raise typer.Exit(commands.doctor(system, nats_url, tuple(monitoring or ()), options))


@app.command(rich_help_panel=_DEPLOY)
def topology(
    system: System = "",
    format_: Annotated[
        str, typer.Option("--format", help="text, mermaid, json or permissions.")
    ] = "text",
    process: Annotated[
        str,
        typer.Option(metavar="NAME", help="With mermaid: the steps of this process."),
    ] = "",
    isolation: Annotated[
        str,
        typer.Option(
            help="Of permissions. users: one account. pages: accounts for the outside client and "
            "services with pages. all: one for each service."
        ),
    ] = "users",
    credentials: Annotated[
        str,
        typer.Option(help="Of permissions. passwords, from variables of nats-server, or nkeys."),
    ] = "passwords",
    account: Annotated[
        str,
        typer.Option(help="Of permissions: the account that holds the streams. Default: MESH."),
    ] = "",
    seeds: Annotated[
        Path | None,
        typer.Option(help="Where seeds of nkeys are kept. Default: .jetmesh/identities."),
    ] = None,
) -> None:
    """Show services, events, streams and durables, as declared; or who may do what on the broker.

    Without --account, users are those of a server without accounts.

    Example: jetmesh topology --format mermaid > flow.mmd

    Example: jetmesh topology --format mermaid --process fulfilment.orders > steps.mmd

    Example: jetmesh topology --format permissions > authorization.conf

    Example: jetmesh topology --format permissions --isolation pages --credentials nkeys > mesh.conf
    """
    from jetmesh.cli import show  # noqa: PLC0415 - see the package

    wanted = show.Wanted(isolation, credentials, account, seeds)
    show.topology(system, format_, wanted, process)


app.command(rich_help_panel=_DEPLOY)(plan)


@app.command(rich_help_panel=_DEPLOY)
def apply(
    system: System = "",
    nats_url: NatsUrl = "",
    *,
    allow_data_loss: Annotated[
        bool, typer.Option("--allow-data-loss", help="Also make changes that delete stored events.")
    ] = False,
    wait: Annotated[
        str,
        typer.Option(metavar="DURATION", help="How long to wait for the broker, such as 2m."),
    ] = "0s",
    behind: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STREAM/DURABLE=N",
            help="Make a lost durable again so that it goes on after message N.",
        ),
    ] = None,
) -> None:
    """Make the broker's streams and durables match the declarations.

    With --wait it tries again while the broker is down or has no leader; a refused change fails at
    once.

    A durable that was lost is made as declared, usually from the first event on. Its service says
    in /readyz up to where it had acked: --behind begins there.

    Example: jetmesh apply

    Example: jetmesh apply --wait 2m

    Example: jetmesh apply --behind ORDERS/payments-charge=1712
    """
    from jetmesh.cli import provision  # noqa: PLC0415 - see the package

    provision.apply(
        system, nats_url, allow_data_loss=allow_data_loss, wait=wait, behind=behind or []
    )


app.command(rich_help_panel=_DEPLOY)(can_deploy)


app.command(rich_help_panel=_DEPLOY)(rehearse)


@app.command(rich_help_panel=_DEPLOY)
def settings(
    system: System = "",
    *,
    changed: Annotated[bool, typer.Option("--changed", help="Leave out the defaults.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the settings in effect and where each came from; secrets are masked.

    Example: JETMESH__HTTP__PORT=9000 jetmesh settings --changed
    """
    from jetmesh.cli import show  # noqa: PLC0415 - see the package

    show.settings(system, changed=changed, as_json=as_json)
