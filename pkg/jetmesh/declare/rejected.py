"""Whether the exceptions that a policy names exist: a misspelt one would never be recognised."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from contextlib import suppress


def unknown_exceptions(names: Iterable[str]) -> list[str]:
    """Those of `names` that are no exception, as `Class` or `module.Class`.

    The module of a dotted name is imported; a bare one must have been by the service.
    """
    wanted = tuple(names)
    if not wanted:  # to look at all that exist takes milliseconds, for each handler
        return []
    for name in wanted:
        with suppress(ImportError, ValueError):
            if module := name.rpartition(".")[0]:
                importlib.import_module(module)
    known = {
        name
        for cls in _exceptions(BaseException)
        for name in (cls.__name__, f"{cls.__module__}.{cls.__qualname__}")
    }
    return [name for name in wanted if name not in known]


def _exceptions(cls: type[BaseException]) -> Iterator[type[BaseException]]:
    yield cls
    for below in cls.__subclasses__():
        yield from _exceptions(below)
