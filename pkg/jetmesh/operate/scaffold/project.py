"""`jetmesh init`: a small project that runs at once."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from jetmesh.errors import UsageError
from jetmesh.operate.project import Project
from jetmesh.operate.scaffold.files import filled, placed
from jetmesh.operate.scaffold.service import NewService, add_service
from jetmesh.operate.scaffold.words import checked_name, identifier

FIRST = NewService("gate", on="car.entered", emits=("car.parked",))
"""The service that a project begins with."""
_KEY = "car-1"
_FOLDERS = ("contracts", "examples", "tests")


def new_project(name: str, where: Path, version: str) -> list[Path]:
    """Write the project `name` into a directory of that name, and return its files.

    It needs jetmesh in `version` or a newer one.

    Raises:
        UsageError: the name is taken or cannot be one, or the directory holds something.
    """
    root = where / checked_name(name, "project")
    package = identifier(name)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise UsageError(
            f"{root} exists already, and nothing is overwritten.",
            remedy="Choose another name, or remove it.",
        )
    if package in _FOLDERS or find_spec(package) is not None:
        raise UsageError(
            f"There is a package or folder {package!r} already, which would hide this one.",
            remedy="Choose another name.",
        )
    values = {"name": name, "package": package, "version": version}
    texts = {
        root / "pyproject.toml": filled("pyproject.toml", **values),
        root / ".gitignore": filled("gitignore"),
        root / "README.md": filled(
            "README.md", subject=FIRST.on, emitted=FIRST.emits[0], key=_KEY, **values
        ),
        root / package / "__init__.py": filled("package.py", **values),
        root / package / "py.typed": "",
        root / package / "system.py": filled("system.py", **values),
        root / package / "contracts" / "__init__.py": filled("contracts.py", **values),
    }
    with placed(texts, {}):
        added = add_service(Project(root, f"{package}.system:system"), FIRST)
    return sorted({*texts, *added})
