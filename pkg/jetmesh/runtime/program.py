"""Run services of a project: `python -P -m jetmesh.runtime.program LABEL ROOT TARGET [held]`.

`LABEL` is what `ps` and the supervisor know the process by. `TARGET` is a file such as
cmd/payments/main.py, or a module that holds a `service`, or several, with commas between them.
`held` loads everything first and waits for a line on standard input: the process before it has the
port until it ends.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from jetmesh.declare.system import service_in
from jetmesh.errors import JetmeshError
from jetmesh.privacy.mask import printable
from jetmesh.runtime import process
from jetmesh.settings.together import SEPARATOR


def main() -> None:
    """Run it until it ends; one sentence and exit code 1 for what is declared wrongly."""
    label, root, target, *held = sys.argv[1:]
    sys.path.append(root)  # last, as every command does: a project need not be installed
    try:
        if target.endswith(".py"):
            sys.path.insert(0, str(Path(target).parent))  # as `python main.py` would
            _wait_if(held)
            sys.argv = [target]
            runpy.run_path(target, run_name="__main__")
        else:
            services = [service_in(module) for module in target.split(SEPARATOR)]
            _wait_if(held)
            process.run(*services)
    except JetmeshError as error:
        text = "\n".join(printable(line) for line in str(error).splitlines())
        sys.stderr.write(f"{label}: {text}\n")
        sys.exit(1)


def _wait_if(held: list[str]) -> None:
    if held and not sys.stdin.readline():
        sys.exit(0)  # whoever made us has ended


if __name__ == "__main__":
    main()
