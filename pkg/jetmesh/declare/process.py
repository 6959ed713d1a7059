"""Processes: a state with steps, and the moves that each handler may make (ADR-0037)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Literal, TypeAlias, get_args

from msgspec import Struct
from msgspec.inspect import EnumType, LiteralType, Metadata, type_info
from msgspec.structs import fields

from jetmesh.declare.line import annotations_of
from jetmesh.declare.several import is_one, mapping, several
from jetmesh.declare.signature import Signature
from jetmesh.errors import DeclarationError

Otherwise: TypeAlias = Literal["ignore", "reject"]
Step: TypeAlias = str | None
"""None: nothing is known of the key, so its process has not begun, or it is forgotten."""


@dataclass(frozen=True, slots=True)
class Process:
    """What `@state(…, steps=…)` declares."""

    field: str
    """The field of the state that says the step."""
    steps: tuple[str, ...]
    ends: tuple[str, ...]
    """Where a process may stay for ever."""
    undone: tuple[str, ...]
    """Ends in which nothing is left of what was done."""
    forever: Mapping[str, str]
    """Steps that wait without a deadline, and why that is right."""
    former: tuple[str, ...]
    """Steps that nothing leads to any more, and processes of before still leave."""

    def step_of(self, state: Any) -> Step:
        """The step in which the process of a state stands."""
        if state is None:
            return None
        found = getattr(state, self.field)
        return str(found.value if isinstance(found, Enum) else found)

    def wire_field(self, state_type: type[Struct]) -> str:
        """The field of the step by the name that is on the wire."""
        return next(f.encode_name for f in fields(state_type) if f.name == self.field)

    def is_end(self, step: str) -> bool:
        """Whether a process may stay there for ever."""
        return step in self.ends or step in self.undone


@dataclass(frozen=True, slots=True)
class Moves:
    """What `on(…, moves=…, otherwise=…)` declares."""

    of: Mapping[Step, tuple[Step, ...]]
    """By the step in which its event is expected: where it may lead. Staying is no move."""
    otherwise: Otherwise | None
    """What becomes of the event in any other step; None: there is no other."""


def read_process(
    cls: type[Struct],
    where: str,
    *,
    steps: str,
    ends: Iterable[Any] = (),
    undone: Iterable[Any] = (),
    forever: Mapping[Any, str] | None = None,
    former: Iterable[Any] = (),
) -> Process | None:
    """What `@state` says of a process; None when it says nothing.

    Raises:
        DeclarationError: the field is none or names no steps, or one that is said is no step.
    """
    about = f"{where}: state {cls.__name__}"
    if forever is not None:
        mapping(forever, "forever", "{step: reason}", about)
    said = {"ends": ends, "undone": undone, "forever": forever or {}, "former": former}
    named = {what: tuple(map(_name, several(given, what, about))) for what, given in said.items()}
    if not steps:
        for what in filter(named.get, named):
            raise DeclarationError(
                f"{about} has {what}= and no steps.",
                remedy="Name the field that says the step: steps=….",
            )
        return None
    known = _steps_of(cls, steps, where)
    for what, given in named.items():
        for each in given:
            _check_step(each, known, f"{about} has in {what}= the step")
    for each, why in (forever or {}).items():
        if not why.strip():
            raise DeclarationError(
                f"{about} waits for ever in {_name(each)!r}, and nobody is told why.",
                remedy="Write forever={step: reason}, for those who look at what waits.",
            )
    return Process(
        field=steps,
        steps=known,
        ends=named["ends"],
        undone=named["undone"],
        forever={_name(step): why for step, why in (forever or {}).items()},
        former=named["former"],
    )


def read_moves(
    process: Process | None,
    moves: Mapping[Any, Any] | None,
    otherwise: Otherwise | None,
    event: str,
    signature: Signature,
) -> Moves | None:
    """What `on` says of a handler's moves; None for a state without steps.

    Raises:
        DeclarationError: it says too little or too much, or names what is no step.
    """
    about = f"{signature.where}: {signature.name}"
    if process is None:
        if moves is not None or otherwise is not None:
            raise DeclarationError(
                f"{about} makes moves, and remembers no state with steps.",
                remedy="Name the field that says the step in @state(…, steps=…).",
            )
        return None
    if not moves:
        raise DeclarationError(
            f"{about} does not say which moves it makes.",
            remedy="Write moves={step: next step}; None is the step before the process begins.",
        )
    mapping(moves, "moves", "{step: next step}", about)
    if otherwise not in (*get_args(Otherwise), None):
        raise DeclarationError(
            f"{about} has otherwise={otherwise!r}.",
            remedy="Choose 'ignore', which is counted, or 'reject', a dead letter.",
        )
    found = {_step(step): tuple(map(_step, _several(to))) for step, to in moves.items()}
    for step in (each for begin, to in found.items() for each in (begin, *to)):
        if step is not None:
            _check_step(step, process.steps, f"{about} moves")
    open_steps = [step for step in (None, *process.steps) if step not in found]
    if open_steps and otherwise is None:
        raise DeclarationError(
            f"{about} does not say what becomes of {event} {_in_steps(open_steps)}.",
            remedy="Name these steps in moves, or write otherwise='ignore', which is counted, or "
            "otherwise='reject', a dead letter.",
        )
    return Moves(found, otherwise)


def described(step: Step) -> str:
    """A step in words."""
    return step if step is not None else "nothing known yet"


_NO_STEPS: Final = "Annotate it with Literal['first', 'second', …], or with an Enum of texts."


def _steps_of(cls: type[Struct], name: str, where: str) -> tuple[str, ...]:
    with annotations_of(f"{where}: state {cls.__name__}"):
        found = {field.name: field.type for field in fields(cls)}
    if name not in found:
        raise DeclarationError(
            f"{where}: state {cls.__name__} has no field {name!r} for its steps.",
            remedy=f"Its fields are {', '.join(found)}.",
        )
    kind = type_info(found[name])
    kind = kind.type if isinstance(kind, Metadata) else kind
    values: list[Any] = []
    if isinstance(kind, LiteralType):
        values = [*get_args(_bare(found[name]))]  # in the order in which they are written
    elif isinstance(kind, EnumType):
        values = [each.value for each in kind.cls]
    if not values or not all(isinstance(each, str) for each in values):
        raise DeclarationError(
            f"{where}: the field {name!r} of the state {cls.__name__} names no steps.",
            remedy=_NO_STEPS,
        )
    return tuple(values)


def _bare(annotation: Any) -> Any:
    """Of `Annotated[Literal[…], …]` the `Literal`."""
    return annotation.__origin__ if hasattr(annotation, "__metadata__") else annotation


def _check_step(step: str, known: tuple[str, ...], about: str) -> None:
    if step not in known:
        raise DeclarationError(
            f"{about} {step!r}, which is no step.", remedy=f"The steps are {', '.join(known)}."
        )


def _name(step: Any) -> str:
    return str(step.value if isinstance(step, Enum) else step)


def _step(step: Any) -> Step:
    return None if step is None else _name(step)


def _several(to: Any) -> tuple[Any, ...]:
    return (to,) if is_one(to) else tuple(to)


def _in_steps(steps: list[Step]) -> str:
    named = [repr(step) for step in steps if step is not None]
    texts = [f"in {', '.join(named)}"] if named else []
    if None in steps:
        texts.append("before the process begins (None)")
    return " and ".join(texts)
