"""What `pip install jetmesh` alone leaves out: the command line, the broker, the page parts."""

from __future__ import annotations

from importlib.util import find_spec

from jetmesh.errors import MissingExtra


def require(extra: str, what: str, *modules: str) -> None:
    """Say how to install what `what` needs, unless it is there.

    Raises:
        MissingExtra: one of the modules cannot be found.
    """
    for module in modules:
        if find_spec(module) is None:
            raise MissingExtra(
                f"{what} needs {module}, which is not installed.",
                remedy=f"pip install 'jetmesh[{extra}]'",
            )
