"""`make chaos SEED=… MINUTES=…`: faults in an order that the seed decides, and a report."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog
from rich.console import Console

from jetmesh.errors import JetmeshError
from tests.cluster.chaos import report
from tests.cluster.chaos.faults import FAULTS
from tests.cluster.chaos.load import RATE
from tests.cluster.chaos.running import Wanted, run

_REPORTS: Final = Path(".jetmesh/chaos")
_WIDTH: Final = 100
"""The table needs it, also where the output is no terminal."""


def main() -> None:
    """Run, write the report; 0 when nothing is wrong, 1 when something is, 2 called wrongly."""
    arguments = _arguments(sys.argv[1:])
    wanted = Wanted(
        arguments.seed, arguments.minutes, tuple(arguments.faults), arguments.dashboards
    )
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    console = Console(soft_wrap=True, width=max(_WIDTH, Console().width))
    console.print(f"[bold]{wanted.command}[/], report in {arguments.report}")
    scratch = Path(tempfile.mkdtemp(prefix="chaos-"))
    try:
        result = asyncio.run(_cancellable(wanted, scratch, console))
    except (JetmeshError, AssertionError, RuntimeError) as error:
        console.print(f"The run could not begin: {error}", markup=False)
        console.print(f"The logs are in {scratch}.")
        sys.exit(1)
    written = report.write(result, arguments.report)
    console.print(report.table(result.episodes))
    console.print(f"Checked after each fault: {'; '.join(report.CHECKED)}.", style="dim")
    for problem in result.problems:
        console.print(problem, style="bold red", markup=False)
    console.print(f"Written: {', '.join(map(str, written))}")
    if result.wrong:
        console.print(f"[bold red]{result.wrong} things are wrong.[/] The logs are in {scratch}.")
        sys.exit(1)
    shutil.rmtree(scratch)
    console.print("[green]Nothing was lost, doubled or out of order.")


async def _cancellable(wanted: Wanted, scratch: Path, console: Console) -> report.Result:
    """End in order on SIGINT and SIGTERM: processes, mounts and namespaces go, the report stays."""
    running = asyncio.create_task(run(wanted, scratch, console))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    return await running


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make chaos",
        description=f"Three nats-servers, the whole shop, {RATE} purchases a second, and faults.",
        epilog=f"Faults: {', '.join(FAULTS)}.",
    )
    environ = {name: os.environ.get(name, "") for name in ("SEED", "MINUTES", "FAULTS")}
    parser.add_argument(
        "--seed",
        type=int,
        default=environ["SEED"] or random.randrange(10_000),  # noqa: S311 - to be repeated, not secret
        help="decides the order of the faults and their moments; without it chance does",
    )
    parser.add_argument(
        "--minutes", type=float, default=environ["MINUTES"] or 10.0, help="10 when not given"
    )
    parser.add_argument(
        "--faults", type=_faults, default=environ["FAULTS"], help="only these, with commas between"
    )
    parser.add_argument(
        "--dashboards",
        action="store_true",
        default=os.environ.get("DASHBOARDS", "0") not in ("", "0"),
        help="run the dashboards too; on two cores there is no room for them",
    )
    parser.add_argument("--report", type=Path, default=_REPORTS, help="the folder of the report")
    return parser.parse_args(arguments)


def _faults(text: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    if unknown := [name for name in names if name not in FAULTS]:
        raise argparse.ArgumentTypeError(
            f"there is no fault {', '.join(unknown)}; there are {', '.join(FAULTS)}"
        )
    return names


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
