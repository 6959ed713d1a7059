"""The `jetmesh` command: `app` lists the commands, `commands` has a module for each.

Beside them is what several use: which `broker` is meant, a `connection` to it, `console` and
`output` to read and print, `options`, `exits`.
"""

from __future__ import annotations

import os
import sys

from jetmesh.cli import exits, output
from jetmesh.errors import BrokerUnreachable, JetmeshError, UsageError
from jetmesh.extras import require
from jetmesh.runtime.host import require_posix


def main() -> None:
    """Run the command line and exit; `exits` says with which code."""
    with output.standard_streams():
        try:
            code = output.settled(_command())
        except output.ReaderLeft:
            code = exits.READER_LEFT
    sys.exit(code)


def _command() -> int:
    """Do what the command line says; the exit code."""
    try:
        require_posix()
        require("cli", "The jetmesh command", "typer", "rich", "yaml", "httpx")
        code = _app()
        sys.stdout.flush()
    except JetmeshError as error:
        output.complain(error.message, _remedy(error))
        return exits.WRONG_USE if isinstance(error, UsageError) else exits.FAILED
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except OSError as error:
        output.complain(exits.because(error))
        return exits.FAILED
    except Exception as error:
        if os.environ.get("JETMESH_DEBUG"):
            raise
        output.complain(
            f"{type(error).__name__}: {error}",
            "This is a bug in jetmesh or in the system it loads; "
            "JETMESH_DEBUG=1 shows where it happened.",
        )
        return exits.FAULT
    return code


def _remedy(error: JetmeshError) -> str:
    """What to do about it; where nobody answers, the mesh that does run here."""
    if not isinstance(error, BrokerUnreachable):
        return error.remedy
    from jetmesh.cli.broker import running_elsewhere  # noqa: PLC0415 - only when there is one

    return running_elsewhere(error.message) or error.remedy


def _app() -> int:
    from jetmesh.cli.app import app  # noqa: PLC0415 - `import jetmesh.cli` stays cheap

    try:
        app()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0
