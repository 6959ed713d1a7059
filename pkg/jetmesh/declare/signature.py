"""What the annotations of a function declare."""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Union, get_args, get_origin, get_type_hints

from jetmesh.declare.line import annotations_of
from jetmesh.errors import DeclarationError

UNIONS: Final = (Union, types.UnionType)
_COLLECTIONS: Final = (list, tuple, Sequence, Iterable)


@dataclass(frozen=True, slots=True)
class Signature:
    """A function's parameters and result, with annotations resolved to types."""

    MISSING: ClassVar[object] = object()

    name: str
    parameters: dict[str, Any]
    """Every parameter by name, in order."""
    result: Any
    is_async: bool
    where: str

    def parameter_of(self, kind: type) -> str | None:
        """The parameter after the first that is annotated `kind`."""
        return next((n for n, t in list(self.parameters.items())[1:] if t is kind), None)

    def needs(self, *supplied: type, behind: int = 1) -> dict[str, type]:
        """Parameters behind the first ones, without those that are annotated `supplied`."""
        return {n: t for n, t in list(self.parameters.items())[behind:] if t not in supplied}


def read_signature(function: Callable[..., Any]) -> Signature:
    """Read the annotations of `function`.

    Raises:
        DeclarationError: a parameter has none, or one names something that does not exist.
    """
    code = inspect.unwrap(function).__code__
    where = f"{code.co_filename}:{code.co_firstlineno}"
    name = getattr(function, "__name__", "?")
    with annotations_of(f"{where}: {name}"):
        hints = get_type_hints(function, localns=_callers_names())
    names = inspect.signature(function).parameters
    for parameter in names:
        if parameter not in hints:
            raise DeclarationError(
                f"{where}: parameter {parameter!r} of {name} has no annotation.",
                remedy="Annotate it: its type says what it receives.",
            )
    return Signature(
        name=name,
        parameters={parameter: hints[parameter] for parameter in names},
        result=hints.get("return", Signature.MISSING),
        is_async=inspect.iscoroutinefunction(function),
        where=where,
    )


def members(annotation: Any) -> Iterator[Any]:
    """The types that an annotation names, one by one, out of unions, lists and tuples."""
    if annotation in (None, type(None), Ellipsis):
        return
    if get_origin(annotation) in (*UNIONS, *_COLLECTIONS):
        for argument in get_args(annotation):
            yield from members(argument)
    else:
        yield annotation


def _callers_names() -> dict[str, Any]:
    """Local names where the declaration is written, for handlers declared inside a function."""
    frame: types.FrameType | None = sys._getframe(1)  # noqa: SLF001 - the only way to that scope
    names: dict[str, Any] = {}
    while frame is not None and frame.f_globals.get("__name__", "").startswith("jetmesh.declare"):
        frame = frame.f_back
    if frame is not None:
        names.update(frame.f_locals)
    return names
