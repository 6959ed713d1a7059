"""`jetmesh deadletters` and its help; the work is in the modules beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jetmesh.cli.options import AsJson, NatsUrl, System

deadletters = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Look at messages that were given up, and replay or drop them.\n\n"
    "A message that its handler cannot handle ends as a letter in the stream DEADLETTERS. "
    "It is open until somebody replays or drops it; who did so, when and why is stored beside "
    "it.\n\n"
    "[bold]ls[/bold] shows what fails, [bold]show[/bold] one letter with its story; once the fault "
    "is repaired, [bold]replay[/bold] gives them to their handler again:\n\n"
    "Example: jetmesh deadletters replay --fingerprint 3f2a9c01b7de",
)

Letters = Annotated[
    list[str] | None,
    typer.Argument(metavar="[LETTER]", help="As ls shows them: DEADLETTERS:17, or 17."),
]
Letter = Annotated[
    str, typer.Argument(metavar="LETTER", help="As ls shows it: DEADLETTERS:17, or 17.")
]
OfService = Annotated[str, typer.Option("--service", help="Only letters of this service.")]
OfHandler = Annotated[str, typer.Option("--handler", help="Only letters of this handler.")]
OfFault = Annotated[
    str, typer.Option("--fingerprint", help="Only this fault; the first characters are enough.")
]
OfKey = Annotated[str, typer.Option("--key", help="Only letters about this key, such as p-1.")]
Every = Annotated[bool, typer.Option("--all", help="Also letters that were replayed or dropped.")]
AllOpen = Annotated[bool, typer.Option("--all", help="Every letter that is open.")]
By = Annotated[
    str,
    typer.Option("--by", metavar="NAME", help="Who is doing this. Default: your user and host."),
]
Rehearse = Annotated[
    bool, typer.Option("--rehearse", help="Only say how many would pass now, with this code.")
]
Ramp = Annotated[
    bool, typer.Option("--ramp", help="Send 1, 5, 20, 100 …; stop as soon as one fails again.")
]
Within = Annotated[
    float, typer.Option(min=1.0, help="Seconds in which each step of a ramp has to end.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]


@deadletters.command(name="ls")
def ls(  # noqa: PLR0913 - each is an option of the command
    service: OfService = "",
    handler: OfHandler = "",
    fingerprint: OfFault = "",
    key: OfKey = "",
    system: System = "",
    nats_url: NatsUrl = "",
    *,
    every: Every = False,
    each: Annotated[
        bool, typer.Option("--letters", help="One line for each letter, instead of each fault.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List what failed, grouped by fault: handler, error, and the line where it was raised.

    Example: jetmesh deadletters ls --service payments

    Example: jetmesh deadletters ls --letters --key p-1 --all
    """
    from jetmesh.cli.deadletters import select, view  # noqa: PLC0415 - see the package

    selector = select.selector_of(service, handler, key, fingerprint)
    listed = view.ls_letters if each else view.ls
    listed(select.context_of(system, nats_url), selector, every=every, as_json=as_json)


@deadletters.command()
def show(
    letter: Letter,
    system: System = "",
    nats_url: NatsUrl = "",
    *,
    payload: Annotated[
        bool, typer.Option("--payload", help="Write only the payload, byte for byte, unmasked.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Tell everything about a letter: error, headers, payload, and what was done so far.

    Example: jetmesh deadletters show DEADLETTERS:17

    Example: jetmesh deadletters show 17 --payload > order.json
    """
    from jetmesh.cli.deadletters import select, view  # noqa: PLC0415 - see the package

    if payload:
        view.write_payload(select.context_of(system, nats_url), letter)
    else:
        view.show(select.context_of(system, nats_url), letter, as_json=as_json)


@deadletters.command()
def replay(  # noqa: PLR0913, PLR0917 - each is an option of the command
    letters: Letters = None,
    service: OfService = "",
    handler: OfHandler = "",
    fingerprint: OfFault = "",
    key: OfKey = "",
    payload: Annotated[
        Path | None,
        typer.Option(help="A corrected payload for the one letter; checked against its contract."),
    ] = None,
    rate: Annotated[float, typer.Option(help="At most this many a second; 0: no limit.")] = 0.0,
    why: Annotated[str, typer.Option(help="A reason, to be stored with it.")] = "",
    by: By = "",
    system: System = "",
    nats_url: NatsUrl = "",
    *,
    every: AllOpen = False,
    again: Annotated[
        bool, typer.Option("--again", help="Also a letter that was replayed or dropped before.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would do.")] = False,
    rehearse: Rehearse = False,
    ramp: Ramp = False,
    within: Within = 120.0,
    yes: Yes = False,
) -> None:
    """Give letters to their handler once more, on a lane that no other service sees.

    An outcome that is stored already is not repeated. What fails again is a new letter, which
    tells the whole story.

    Example: jetmesh deadletters replay 17

    Example: jetmesh deadletters replay 17 --payload corrected.json --why "a price was missing"

    Example: jetmesh deadletters replay --fingerprint 3f2a9c01b7de --rehearse

    Example: jetmesh deadletters replay --fingerprint 3f2a9c01b7de --ramp
    """
    from jetmesh.cli.deadletters import act, rehearsing, select  # noqa: PLC0415 - see the package

    selector = select.selector_of(service, handler, key, fingerprint)
    chosen = select.choice_of(letters, selector, every=every)
    context = select.context_of(system, nats_url)
    if rehearse:
        raise typer.Exit(rehearsing.rehearse(context, chosen, payload))
    how = act.Options(
        by, why, rate, again=again, dry_run=dry_run, yes=yes, ramp=ramp, within=within
    )
    raise typer.Exit(act.replay(context, chosen, how, payload))


@deadletters.command()
def drop(  # noqa: PLR0913, PLR0917 - each is an option of the command
    letters: Letters = None,
    service: OfService = "",
    handler: OfHandler = "",
    fingerprint: OfFault = "",
    key: OfKey = "",
    why: Annotated[str, typer.Option(help="The reason, to be stored with it.")] = "",
    by: By = "",
    system: System = "",
    nats_url: NatsUrl = "",
    *,
    every: AllOpen = False,
    yes: Yes = False,
) -> None:
    """Note that letters need nothing done; they stay stored but are no longer open.

    Example: jetmesh deadletters drop 17 --why "a test order"

    Example: jetmesh deadletters drop --handler charge --service payments --why "refunded by hand"
    """
    from jetmesh.cli.deadletters import act, select  # noqa: PLC0415 - see the package

    selector = select.selector_of(service, handler, key, fingerprint)
    chosen = select.choice_of(letters, selector, every=every)
    options = act.Options(by=by, why=why, yes=yes)
    raise typer.Exit(act.drop(select.context_of(system, nats_url), chosen, options))


@deadletters.command()
def export(  # noqa: PLR0913 - each is an option of the command
    letters: Letters = None,
    service: OfService = "",
    handler: OfHandler = "",
    fingerprint: OfFault = "",
    key: OfKey = "",
    output: Annotated[
        Path | None, typer.Option(help="The file to write. Default: standard output.")
    ] = None,
    system: System = "",
    nats_url: NatsUrl = "",
    *,
    every: Every = False,
) -> None:
    """Write letters as JSON lines, whole and unmasked: headers, payload, what was done.

    Example: jetmesh deadletters export --service payments --output letters.jsonl

    Example: jetmesh deadletters export | jq -r '.headers["Jetmesh-Message"]'
    """
    from jetmesh.cli.deadletters import select, view  # noqa: PLC0415 - see the package

    selector = select.selector_of(service, handler, key, fingerprint)
    # to look at everything that is open harms nobody
    chosen = select.choice_of(letters, selector, every=every or not letters)
    view.export(select.context_of(system, nats_url), chosen, output, every=every)
