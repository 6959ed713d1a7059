"""The `jetmesh` command.

Every command imports what it needs when it runs, so that `--help` answers at once.
"""

from __future__ import annotations

import os
import sys

from jetmesh.errors import JetmeshError, UsageError
from jetmesh.extras import require

FAILED = 1
WRONG_USE = 2
INTERRUPTED = 130


def main() -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 called wrongly."""
    try:
        require("cli", "The jetmesh command", "typer", "rich", "yaml", "httpx")
        from jetmesh.cli.app import app  # noqa: PLC0415 - `import jetmesh.cli` stays cheap

        app()
    except JetmeshError as error:
        _complain(error.message, error.remedy)
        sys.exit(WRONG_USE if isinstance(error, UsageError) else FAILED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        sys.exit(FAILED)
    except Exception as error:
        if os.environ.get("JETMESH_DEBUG"):
            raise
        _complain(
            f"{type(error).__name__}: {error}",
            "This is a bug in jetmesh or in the system it loads; "
            "JETMESH_DEBUG=1 shows where it happened.",
        )
        sys.exit(FAILED)


def _complain(message: str, remedy: str) -> None:
    from jetmesh.privacy.mask import printable  # noqa: PLC0415 - only when there is an error

    for text in (*message.splitlines(), remedy):
        if text:
            sys.stderr.write(printable(text, keep="\t") + "\n")
