"""Files from templates: all of them are written or none, and none that exists is touched."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from string import Template

from jetmesh.errors import UsageError


def filled(template: str, **values: str) -> str:
    """The template of that name with its `$words` replaced."""
    text = files(__package__).joinpath("templates", f"{template}.tmpl").read_text(encoding="utf-8")
    return Template(text).substitute(values)


@contextmanager
def placed(contents: Mapping[Path, str], changed: Mapping[Path, str]) -> Iterator[None]:
    """Write new files and changed ones; all as it was if the block fails.

    Raises:
        UsageError: one of the new files exists, or a directory cannot be written.
    """
    for path in contents:
        if path.exists():
            raise UsageError(
                f"{path} exists already, and nothing is overwritten.",
                remedy="Choose another name, or move it away.",
            )
    before = {path: path.read_bytes() for path in changed}
    made: list[Path] = []
    try:
        for path, text in {**contents, **changed}.items():
            made += _folders(path.parent)
            made += [path] if path in contents else []
            path.write_text(text, encoding="utf-8", newline="\n")
        yield
    except BaseException as error:
        for path in reversed(made):
            with contextlib.suppress(OSError):  # a folder that somebody else uses meanwhile
                path.unlink() if path.is_file() else path.rmdir()
        for path, content in before.items():
            path.write_bytes(content)
        if isinstance(error, OSError):
            raise UsageError(
                f"{error.filename} cannot be written: {error.strerror}.",
                remedy="Change the permissions, or choose another directory.",
            ) from error
        raise


def _folders(directory: Path) -> list[Path]:
    """Make `directory`, and return what had to be made for it."""
    missing = [each for each in (directory, *directory.parents) if not each.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    return missing[::-1]
