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
    if not program.is_file():
        known = ", ".join(sorted(path.parent.name for path in PROGRAMS.glob("*/main.py")))
        sys.stderr.write(f"There is no {name!r} to run. Name one of: {known}, jetmesh.\n")
        sys.exit(2)
    runpy.run_path(str(program), run_name="__main__")


if __name__ == "__main__":
    main()
