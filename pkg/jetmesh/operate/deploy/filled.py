"""The templates of chart and image, filled with what is different in each project."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from jetmesh.declare.system import System
from jetmesh.operate.helm.name import name_of

_TEMPLATES: Final = Path(__file__).parent / "templates"


def filled(folder: str, system: System, **more: str) -> dict[str, str]:
    """The files of one folder of templates by their paths in it; `@name@` stands for a value.

    Raises:
        UsageError: the system has a name that a chart cannot have.
    """
    name = name_of(system)
    title = name.replace("-", " ").capitalize()
    values = {"name": name, "title": title, "version": system.version, **more}
    root = _TEMPLATES / folder
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {
        path.relative_to(root).as_posix(): _fill(path.read_text(encoding="utf-8"), values)
        for path in files
    }


def _fill(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text
