"""Where values come from: a TOML file, then environment variables, each with its origin."""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from msgspec import ValidationError, convert

from jetmesh.declare.duration import Duration
from jetmesh.declare.setting import PREFIX, Leaf, Names, leaves, spelled, variable
from jetmesh.errors import SettingsError
from jetmesh.settings.names import unknown

_OPEN: Final = ("services", "streams")


@dataclass(frozen=True, slots=True)
class Given:
    """One value that somebody gave, checked against the type of its name."""

    path: tuple[str, ...]
    value: Any
    origin: str


def from_file(file: Path, names: Names, *, whole: bool) -> Iterator[Given]:
    """Every value of a TOML file.

    Raises:
        SettingsError: it cannot be read, or holds an unknown name or a wrong value.
    """
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"The settings file {file} cannot be read: {error.strerror}.",
            remedy="Correct JETMESH_SETTINGS, or unset it.",
        ) from error
    except ValueError as error:
        raise SettingsError(
            f"The settings file {file} is not valid TOML: {error}.", remedy="Correct that line."
        ) from error
    yield from _table(table, names, (), str(file), whole=whole)


def from_environment(environ: Mapping[str, str], names: Names, *, whole: bool) -> Iterator[Given]:
    """`NATS_URL`, then every variable that starts with `JETMESH__`.

    Raises:
        SettingsError: a variable names nothing, or its value is wrong.
    """
    if environ.get("NATS_URL"):
        yield Given(("nats", "url"), environ["NATS_URL"], "NATS_URL")
    known = {variable(path): (path, leaf) for path, leaf in leaves(names)}
    for name in sorted(environ):
        if name in known:
            path, leaf = known[name]
            yield Given(path, _from_text(environ[name], leaf, path, name), name)
        elif name.startswith(PREFIX):
            _refuse(name.removeprefix(PREFIX), names, (), name, whole=whole)


def decode(value: Any, kind: Any) -> Any:
    """`value` as `kind`, strictly, with durations read from text.

    Raises:
        msgspec.ValidationError, SettingsError: it is no such value.
    """
    return convert(value, kind, dec_hook=_duration)


def _table(
    table: Mapping[str, Any], names: Names, path: tuple[str, ...], origin: str, *, whole: bool
) -> Iterator[Given]:
    for name, value in table.items():
        here = (*path, name)
        if name not in names:
            if _is_elsewhere(path, whole=whole):
                continue
            raise unknown(here, names, origin)
        below = names[name]
        if isinstance(below, Leaf):
            _check(value, below, here, origin)
            yield Given(here, value, origin)
        elif isinstance(value, dict):
            yield from _table(value, below, here, origin, whole=whole)
        else:
            raise SettingsError(
                f"{origin}: {'.'.join(here)} is a table, not a value.",
                remedy=f"Write [{'.'.join(here)}] and a line for each of: {', '.join(below)}.",
            )


def _refuse(rest: str, names: Names, path: tuple[str, ...], origin: str, *, whole: bool) -> None:
    """Say where a variable leaves the tree, unless it may be another service's."""
    known = {spelled(name): name for name in names}
    for begun in sorted(known, key=len, reverse=True):  # `a__b` before the `b` in `a`
        below = names[known[begun]]
        tables = {} if isinstance(below, Leaf) else below
        if rest == begun:
            raise SettingsError(
                f"{origin} names a table, not a value.",
                remedy=f"Append __ and one of: {', '.join(map(spelled, tables))}.",
            )
        if rest.startswith(f"{begun}__"):
            after = rest.removeprefix(f"{begun}__")
            return _refuse(after, tables, (*path, known[begun]), origin, whole=whole)
    if not _is_elsewhere(path, whole=whole):
        raise unknown((*path, rest.partition("__")[0].lower()), names, origin)
    return None


def _is_elsewhere(path: tuple[str, ...], *, whole: bool) -> bool:
    """Whether what follows may belong to a service that this process does not know."""
    return not whole and len(path) == 1 and path[0] in _OPEN


def _from_text(text: str, leaf: Leaf, path: tuple[str, ...], origin: str) -> Any:
    """The text itself where the type takes text, otherwise the TOML value that it spells."""
    candidates: list[Any] = [text]
    with contextlib.suppress(ValueError):
        candidates.append(tomllib.loads(f"value = {text}")["value"])
    for value in candidates:
        try:
            decode(value, leaf.type)
        except (ValidationError, SettingsError):
            continue
        return value
    _check(candidates[-1], leaf, path, origin)
    return text


def _check(value: Any, leaf: Leaf, path: tuple[str, ...], origin: str) -> None:
    try:
        decode(value, leaf.type)
    except (ValidationError, SettingsError) as error:
        what = "its value does not fit (it is not shown)." if leaf.sensitive else _sentence(error)
        remedy = error.remedy if isinstance(error, SettingsError) else ""
        raise SettingsError(f"{origin}: {'.'.join(path)}: {what}", remedy=remedy) from None


def _sentence(error: ValidationError | SettingsError) -> str:
    text = error.message if isinstance(error, SettingsError) else str(error)
    return text.rstrip(".") + "."


def _duration(kind: type, value: Any) -> Any:
    if kind is not Duration:
        raise NotImplementedError
    if isinstance(value, str):
        return Duration.parse(value)
    raise SettingsError(
        f"{value!r} is not a duration.", remedy="Write a number and a unit, such as 45s or 250ms."
    )
