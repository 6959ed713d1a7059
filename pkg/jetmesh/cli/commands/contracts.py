"""Write AsyncAPI documents, a JSON Schema per event, and who may do what on the broker.

They are kept with the code. The pages are for people: each event with its fields, an example, who
publishes it and who reads which field; plain HTML, which needs no server and no network. `check`
compares the declared events with those that were released, `release` adds to these.

Example: jetmesh contracts --check

Example: jetmesh contracts --site public

Example: jetmesh contracts check
"""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from jetmesh.cli.broker import broker_of
from jetmesh.cli.connection import asked
from jetmesh.cli.exits import FAILED, answering
from jetmesh.cli.files import compare, write_all
from jetmesh.cli.options import AsJson, NatsUrl, System
from jetmesh.cli.output import echo
from jetmesh.errors import UsageError
from jetmesh.operate import contracts as contract_files
from jetmesh.operate.catalog import place
from jetmesh.operate.evolution.check import Finding, Result
from jetmesh.operate.evolution.check import check as compared
from jetmesh.operate.evolution.dropping import drop as forget
from jetmesh.operate.evolution.dropping import droppable, held
from jetmesh.operate.evolution.release import release as write
from jetmesh.operate.evolution.released import FOLDER, Released
from jetmesh.operate.project import Project, find_project

_LONGEST = 400
_STALE = "{} contract files are stale. Run `jetmesh contracts` and commit them."

app = typer.Typer(invoke_without_command=True, help=__doc__)


@app.callback()
def contracts(
    context: typer.Context,
    system: System = "",
    directory: Annotated[
        Path | None,
        typer.Option(help="Where to write them. Default: contracts/ beside pyproject.toml."),
    ] = None,
    site: Annotated[
        Path | None, typer.Option(help="Where to write the pages. Default: .jetmesh/contracts.")
    ] = None,
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if anything is stale.")
    ] = False,
) -> int:
    if context.invoked_subcommand is not None:
        return 0
    with answering(when=check):
        project = find_project(system)
        whole = project.load()
        target = directory or project.root / "contracts"
        contents = contract_files.contents(whole.system, whole.topology, target)
        if check:
            return compare(contents, "The contracts are", _STALE)
        pages = site or place.folder_in(project.state)
        catalog = place.contents(whole.system, whole.topology, project.root, pages)
        write_all(contents, target)
        place.keep(catalog, project.state)
        echo(f"The pages are in {os.path.relpath(pages / 'index.html')}.")
        return 0


@app.command("check")
def check_released(
    against: Annotated[
        str,
        typer.Option(
            metavar="REV|DIR",
            help="A git revision, or a directory of releases. Default: contracts/released.",
        ),
    ] = "",
    system: System = "",
    *,
    as_json: AsJson = False,
) -> int:
    """Say what the declared events do to whoever reads or wrote the released ones.

    Red is what cannot be read, yellow what means something else. Exits with 1 when anything is red.

    Example: jetmesh contracts check --against main
    """
    with answering():
        project = find_project(system)
        topology = project.load().topology
        own = Released.of(project.root)
        with _releases(project, against, own) as released:
            result = compared(topology, released)
        if as_json:
            echo(msgspec.json.format(msgspec.json.encode(result)).decode())
        else:
            _show(result)
        return int(any(each.verdict == "red" for each in result.findings))


@app.command()
def release(system: System = "") -> None:
    """Write what is declared to contracts/released: descriptor, schema and samples of each event.

    What is there is never changed: a compatible change becomes 1.1, the next version 2.

    Example: jetmesh contracts release
    """
    project = find_project(system)
    new = write(project.load().topology, project.root / "contracts" / FOLDER)
    for each in new:
        echo(f"{each.subject} {each.name}")
    echo(f"Released {len(new)} events." if new else "Everything is released already.")


@app.command()
def drop(
    subject: Annotated[str, typer.Argument(help="The event's subject, such as orders.validated.")],
    version: Annotated[int, typer.Argument(help="One that the code no longer reads (oldest=…).")],
    system: System = "",
    nats_url: NatsUrl = "",
    *,
    outside: Annotated[
        bool, typer.Option("--outside", help="I know that nobody outside publishes it any more.")
    ] = False,
) -> int:
    """Forget a released version, once no stream holds it and nobody publishes it.

    The broker is asked for both: streams, lanes and dead letters are read, and processes of other
    code are looked for. What comes from outside nobody can prove, so you say it.

    Example: jetmesh contracts drop orders.validated 1
    """
    with answering():
        project = find_project(system)
        whole = project.load()
        topology, nats = whole.topology, broker_of(project, whole.loaded, nats_url)
        spec = droppable(topology, Released.of(project.root), subject, version)
        if spec not in topology.owners and not outside:
            raise UsageError(
                f"{subject} comes from outside, and who publishes version {version} there, "
                "nobody here knows.",
                remedy="Say --outside when nobody does.",
            )
        if holders := asked(nats, lambda control: held(nats, control, topology, spec, version)):
            echo(f"{subject} {version} cannot be dropped: {'; '.join(holders)}.", err=True)
            return FAILED
        forget(project.root / "contracts" / FOLDER, subject, version)
        echo(f"Dropped {subject} {version}; commit contracts/{FOLDER}/{subject}.")
        return 0


@contextmanager
def _releases(project: Project, against: str, own: Released) -> Iterator[Released]:
    if not against:
        yield own
    elif (given := Path(against)).is_dir():
        if not any(given.glob("*/*/descriptor.json")):
            raise UsageError(
                f"{against} holds no released contracts.",
                remedy="Name a directory such as contracts/released.",
            )
        yield Released.below(given)
    else:
        with tempfile.TemporaryDirectory() as folder:
            _extract(project.root, against, Path(folder))
            then = Released.below(Path(folder) / "contracts" / FOLDER)
            _unchanged(then, own, against)
            yield then


def _extract(root: Path, revision: str, folder: Path) -> None:
    """Raises UsageError: there is no such revision, or it holds no released contracts."""
    command = ["git", "-C", str(root), "archive", revision, f"contracts/{FOLDER}"]
    if revision.startswith("-"):
        raise UsageError(f"{revision!r} is no revision.", remedy="Name a branch, tag or commit.")
    try:
        answer = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - no shell, and no option
    except FileNotFoundError as error:
        raise UsageError("git is not installed.", remedy="Name a directory.") from error
    if answer.returncode:
        raise UsageError(
            f"{revision} has no contracts/{FOLDER}: {answer.stderr.decode().strip()}.",
            remedy="Name a revision after the first `jetmesh contracts release`, or a directory.",
        )
    with tarfile.open(fileobj=io.BytesIO(answer.stdout)) as archive:
        archive.extractall(folder, filter="data")


def _unchanged(then: Released, now: Released, revision: str) -> None:
    """Raises UsageError: what was released then is not there as it was."""
    kept = {(each.subject, each.name): each for each in now.every}
    for each in then.every:
        if kept.get((each.subject, each.name)) != each:
            raise UsageError(
                f"{each.subject} {each.name} was released in {revision}, "
                "and is not the same any more.",
                remedy=f"git checkout {revision} -- contracts/{FOLDER}/{each.subject}/{each.name}",
            )


def _show(result: Result) -> None:
    for each in result.findings:
        _show_one(each)
    red = sum(each.verdict == "red" for each in result.findings)
    echo(
        f"{result.checked} releases compared: {red} red, {len(result.findings) - red} yellow."
        if result.findings
        else f"{result.checked} releases compared: everything is compatible."
    )
    if result.unreleased:
        names = ", ".join(result.unreleased)
        echo(f"Not released yet: {names}. `jetmesh contracts release` does, once this is deployed.")


def _show_one(each: Finding) -> None:
    place = f"{each.event} {each.path}".rstrip()
    new_reads = each.who == "new reads old"
    writer, reader = ("release", "new code") if new_reads else ("new code", "release")
    echo(f"{each.verdict.upper()} {place}: {each.what}.")
    when = "the new code reads what is stored" if new_reads else "running readers read new events"
    echo(f"  when      {when} (release {each.release})")
    if each.sample:
        cut = each.sample if len(each.sample) <= _LONGEST else f"{each.sample[:_LONGEST]}…"
        echo(f"  sample    {cut}")
    if each.writer_sees or each.reader_sees:
        echo(f"  {writer:<9} sees {each.writer_sees}")
        echo(f"  {reader:<9} sees {each.reader_sees}")
    echo(f"  read by   {', '.join(each.readers) or 'nobody'}")
    if each.stops and each.stops != each.readers:
        echo(f"  stops     {', '.join(each.stops)}")
    echo(f"  remedy    {each.remedy}")
