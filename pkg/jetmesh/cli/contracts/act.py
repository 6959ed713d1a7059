"""`jetmesh contracts check` and `release`."""

from __future__ import annotations

import asyncio
import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from jetmesh.cli.connection import broker_of, connected
from jetmesh.cli.exits import FAILED, answering
from jetmesh.cli.output import echo
from jetmesh.errors import UsageError
from jetmesh.operate.evolution.check import Finding, Result
from jetmesh.operate.evolution.check import check as compared
from jetmesh.operate.evolution.dropping import drop as forget
from jetmesh.operate.evolution.dropping import droppable, held
from jetmesh.operate.evolution.release import release as write
from jetmesh.operate.evolution.released import FOLDER, Released
from jetmesh.operate.project import Project, find_project

_LONGEST = 400


def check(against: str, reference: str, *, as_json: bool) -> int:
    """Show what was found; 1 if anything is red."""
    with answering():
        project = find_project(reference)
        topology = project.load().topology
        own = Released.of(project.root)
        with _releases(project, against, own) as released:
            result = compared(topology, released)
        if as_json:
            echo(msgspec.json.format(msgspec.json.encode(result)).decode())
        else:
            _show(result)
        return int(any(each.verdict == "red" for each in result.findings))


def release(reference: str) -> None:
    """Write what is not released yet."""
    project = find_project(reference)
    new = write(project.load().topology, project.root / "contracts" / FOLDER)
    for each in new:
        echo(f"{each.subject} {each.name}")
    echo(f"Released {len(new)} events." if new else "Everything is released already.")


def drop(subject: str, version: int, reference: str, nats_url: str, *, outside: bool) -> int:
    """Forget a version that nobody can meet; 1 and who may where somebody can.

    Raises:
        UsageError: there is no such version, it is still read, or that is not known.
    """
    with answering():
        project = find_project(reference)
        whole = project.load()
        topology, nats = whole.topology, broker_of(project, whole.loaded, nats_url)
        spec = droppable(topology, Released.of(project.root), subject, version)
        if spec not in topology.owners and not outside:
            raise UsageError(
                f"{subject} comes from outside, and who publishes version {version} there, "
                "nobody here knows.",
                remedy="Say --outside when nobody does.",
            )

        async def asked() -> list[str]:
            async with connected(nats) as control:
                return await held(nats, control, topology, spec, version)

        if holders := asyncio.run(asked()):
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
    command = ["git", "-C", str(root), "archive", "--", revision, f"contracts/{FOLDER}"]
    command.remove("--")
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
