"""Become another program that the kernel ends when the supervisor dies, however it dies.

Run as a script, `python -I -S leash.py <pid of the supervisor> <program> <arguments…>`: it stays
free of imports of ours, so it costs milliseconds. Elsewhere than on Linux the next `jetmesh up`
finds what was left over through up.json.
"""

from __future__ import annotations

import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask for the signal, then replace this process by the program."""
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - only where it is of use

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before we asked
            sys.exit(1)
    os.execv(program[0], program)  # noqa: S606 - its whole purpose, with an argument list


if __name__ == "__main__":
    main()
