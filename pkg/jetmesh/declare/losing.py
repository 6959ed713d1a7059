"""What a handler does when it loses: its key has an outcome already, from another cause."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, get_args

from jetmesh.declare.annotated import events_in, outputs_of
from jetmesh.declare.delivery import Delivery
from jetmesh.declare.event import EventSpec
from jetmesh.declare.signature import Signature, read_signature
from jetmesh.declare.supplied import Needs
from jetmesh.declare.wrapping import AsyncWrap, Wrap, wraps_for
from jetmesh.errors import DeclarationError


@dataclass(frozen=True, slots=True)
class Lost:
    """A function from a lost decision to events; its annotations are the declaration."""

    name: str
    function: Callable[..., Any]
    stored: tuple[EventSpec, ...]
    """What may have been decided instead."""
    outputs: tuple[EventSpec, ...]
    """Every event type that the return annotation names, in its order."""
    is_async: bool
    event: str | None
    """The parameter that receives the handler's input, if there is one."""
    delivery: str | None
    needs: Needs
    wraps: tuple[Wrap | AsyncWrap, ...]
    where: str


def read_lost(
    function: Callable[..., Any],
    handler: str,
    takes: EventSpec,
    returns: tuple[EventSpec, ...],
    wrap: Iterable[Wrap | AsyncWrap] = (),
) -> Lost:
    """Read what `function` does when `handler`, from `takes` to `returns`, loses a decision.

    Raises:
        DeclarationError: the handler decides nothing, or the annotations do not fit it.
    """
    signature = read_signature(function)
    deciding = tuple(spec for spec in returns if spec.decision)
    if not deciding:
        raise _wrong(signature, f"reacts to {handler}, which makes no decision", "Remove it.")
    mine, stored = _first_two(signature)
    wanted = " | ".join(spec.name for spec in deciding)
    if type(None) not in get_args(mine) or {*events_in(mine, signature.where)} != {*deciding}:
        raise _wrong(
            signature,
            f"must take what {handler} wanted to decide first, and None",
            f"Annotate its first parameter {wanted} | None.",
        )
    outputs = outputs_of(signature)
    for spec in outputs:
        if spec.decision in {each.decision for each in deciding}:
            raise _wrong(
                signature,
                f"returns {spec.name} of the very decision {spec.decision!r} that was lost",
                "Return an event that is no outcome of it.",
            )
    others = dict(list(signature.parameters.items())[2:])
    return Lost(
        name=signature.name,
        function=function,
        stored=events_in(stored, signature.where),
        outputs=outputs,
        is_async=signature.is_async,
        event=_of_type(takes.type, others),
        delivery=_of_type(Delivery, others),
        needs={n: kind for n, kind in others.items() if kind not in (Delivery, takes.type)},
        wraps=wraps_for(signature.name, signature.where, wrap, is_async=signature.is_async),
        where=signature.where,
    )


def _first_two(signature: Signature) -> tuple[Any, Any]:
    found = list(signature.parameters.values())
    if len(found) < 2:  # noqa: PLR2004 - what was wanted, and what is stored
        raise _wrong(
            signature,
            "takes too little",
            "Its first two parameters are what was wanted, or None, and what is stored.",
        )
    return found[0], found[1]


def _of_type(kind: type, parameters: dict[str, Any]) -> str | None:
    return next((name for name, each in parameters.items() if each is kind), None)


def _wrong(signature: Signature, what: str, remedy: str) -> DeclarationError:
    return DeclarationError(f"{signature.where}: {signature.name} {what}.", remedy=remedy)
