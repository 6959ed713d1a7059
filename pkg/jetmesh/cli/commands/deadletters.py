"""Look at messages that were given up, and replay or drop them.

A message that its handler cannot handle ends as a letter in the stream DEADLETTERS. It is open
until somebody replays or drops it; who did so, when and why is stored beside it.

[bold]ls[/bold] shows what fails, [bold]show[/bold] one letter with its story; once the fault is
repaired, [bold]replay[/bold] gives them to their handler again:

Example: jetmesh deadletters replay --fingerprint 3f2a9c01b7de
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jetmesh.cli.deadletters import act, view
from jetmesh.cli.deadletters.rehearsing import rehearse as rehearse_letters
from jetmesh.cli.deadletters.select import choice_of, context_of
from jetmesh.cli.options import AsJson, NatsUrl, System, Why, Yes
from jetmesh.errors import UsageError
from jetmesh.operate.deadletters.letter import Selector

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help=__doc__)

Letters = Annotated[
    list[str] | None,
    typer.Argument(metavar="[LETTER]", help="As ls shows them: DEADLETTERS:17, or 17."),
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


@app.command()
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
    selector = Selector(service=service, handler=handler, key=key, fingerprint=fingerprint)
    listed = view.ls_letters if each else view.ls
    listed(context_of(system, nats_url), selector, every=every, as_json=as_json)


@app.command()
def show(
    letter: Annotated[
        str, typer.Argument(metavar="LETTER", help="As ls shows it: DEADLETTERS:17, or 17.")
    ],
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
    context = context_of(system, nats_url)
    if payload:
        view.write_payload(context, letter)
    else:
        view.show(context, letter, as_json=as_json)


@app.command()
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
    why: Why = "",
    by: By = "",
    system: System = "",
    nats_url: NatsUrl = "",
    *,
    every: AllOpen = False,
    again: Annotated[
        bool, typer.Option("--again", help="Also a letter that was replayed or dropped before.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would do.")] = False,
    rehearse: Annotated[
        bool, typer.Option("--rehearse", help="Only say how many would pass now, with this code.")
    ] = False,
    ramp: Annotated[
        bool, typer.Option("--ramp", help="Send 1, 5, 20, 100 …; stop as soon as one fails again.")
    ] = False,
    within: Annotated[
        float, typer.Option(min=1.0, help="Seconds in which each step of a ramp has to end.")
    ] = 120.0,
    yes: Yes = False,
) -> int:
    """Give letters to their handler once more, on a lane that no other service sees.

    An outcome that is stored already is not repeated. What fails again is a new letter, which
    tells the whole story.

    Example: jetmesh deadletters replay 17

    Example: jetmesh deadletters replay 17 --payload corrected.json --why "a price was missing"

    Example: jetmesh deadletters replay --fingerprint 3f2a9c01b7de --rehearse

    Example: jetmesh deadletters replay --fingerprint 3f2a9c01b7de --ramp
    """
    selector = Selector(service=service, handler=handler, key=key, fingerprint=fingerprint)
    chosen = choice_of(letters, selector, every=every)
    context = context_of(system, nats_url)
    if rehearse and payload:
        raise UsageError(
            "Letters are rehearsed with the payload that they have.", remedy="Omit --payload."
        )
    if rehearse:
        return rehearse_letters(context, chosen)
    options = act.Options(
        by, why, rate, again=again, dry_run=dry_run, yes=yes, ramp=ramp, within=within
    )
    return act.replay(context, chosen, options, payload)


@app.command()
def drop(  # noqa: PLR0913, PLR0917 - each is an option of the command
    letters: Letters = None,
    service: OfService = "",
    handler: OfHandler = "",
    fingerprint: OfFault = "",
    key: OfKey = "",
    why: Why = "",
    by: By = "",
    system: System = "",
    nats_url: NatsUrl = "",
    *,
    every: AllOpen = False,
    yes: Yes = False,
) -> int:
    """Note that letters need nothing done; they stay stored but are no longer open.

    Example: jetmesh deadletters drop 17 --why "a test order"

    Example: jetmesh deadletters drop --handler charge --service payments --why "refunded by hand"
    """
    selector = Selector(service=service, handler=handler, key=key, fingerprint=fingerprint)
    chosen = choice_of(letters, selector, every=every)
    return act.drop(context_of(system, nats_url), chosen, act.Options(by=by, why=why, yes=yes))


@app.command()
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
    selector = Selector(service=service, handler=handler, key=key, fingerprint=fingerprint)
    # to look at everything that is open harms nobody
    chosen = choice_of(letters, selector, every=every or not letters)
    view.export(context_of(system, nats_url), chosen, output, every=every)
