"""What the image runs: a service by its name, the `jetmesh` command, or a script."""  # noqa: INP001 - it is run as a file

from __future__ import annotations

import runpy
import sys
from pathlib import Path

PROGRAMS = Path(__file__).parent / "cmd"


def main() -> None:
    """Run what the first argument names, in this process: it gets the signals.

    Raises:
        SystemExit: with 2 and one sentence, when it names nothing.
    """
    sys.argv = sys.argv[1:]
    name = sys.argv[0] if sys.argv else ""
    if name == "jetmesh":
        from jetmesh.cli import main as jetmesh  # noqa: PLC0415 - services need not load it

        jetmesh()
        return
    program = Path(name) if name.endswith(".py") else PROGRAMS / name / "main.py"
    if program.is_file():
        runpy.run_path(str(program), run_name="__main__")
    else:
        run_service(name)


def run_service(name: str) -> None:
    """Run the service that the system has under this name, without a program of its own."""
    from jetmesh import run  # noqa: PLC0415 - a program imports what it needs itself
    from jetmesh.declare.system import service_in  # noqa: PLC0415 - as above
    from jetmesh.operate.project import find_project  # noqa: PLC0415 - as above

    system = find_project().system()
    there = {sandbox.name for sandbox in system.sandboxes}
    for module in system.services:
        service = service_in(module)
        if service.name == name:
            run(service)
            return
        there.add(service.name)
    known = ", ".join(sorted(there))
    sys.stderr.write(f"There is no {name!r} to run. Name one of: {known}, jetmesh.\n")
    sys.exit(2)


if __name__ == "__main__":
    main()
