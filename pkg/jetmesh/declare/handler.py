"""Handlers: functions from an event to events, as their annotations declare them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, get_args

from msgspec import Struct

from jetmesh.declare.annotated import input_of
from jetmesh.declare.delivery import Delivery
from jetmesh.declare.event import EventSpec
from jetmesh.declare.later import Deadlines, read_deadlines, without_deadlines
from jetmesh.declare.losing import Lost
from jetmesh.declare.policy import Policy
from jetmesh.declare.several import several
from jetmesh.declare.signature import Signature, read_signature
from jetmesh.declare.state import Remembering, Wanted, published_by, read_remembering
from jetmesh.declare.supplied import Needs
from jetmesh.declare.wrapping import AsyncWrap, Wrap, wraps_for
from jetmesh.errors import DeclarationError

Start: TypeAlias = Literal["all", "new"]


@dataclass(frozen=True, slots=True)
class Handler:
    """A function from an event to events; its annotations are the declaration."""

    service: str
    name: str
    function: Callable[..., Any]
    input: EventSpec
    returns: tuple[EventSpec, ...]
    """Every event type that the return annotation names to be published now, in its order."""
    is_async: bool
    threads: int
    """So many threads of each process run a `def` handler; 0: it runs on the event loop."""
    delivery: str | None
    """The parameter that receives the `Delivery`, if there is one."""
    needs: Needs
    """Parameters that receive the service's settings or a resource, by type."""
    policy: Policy
    start: Start
    """Whether a durable made today begins with the first stored event or with the next one."""
    cycle: bool
    """Its outputs may lead back to its input on purpose."""
    where: str
    wraps: tuple[Wrap | AsyncWrap, ...] = ()
    """What runs around it, the first one outermost."""
    lost: Lost | None = None
    """What it does when it loses a decision."""
    remembers: Remembering | None = None
    """Which state it reads and replaces (ADR-0033)."""
    ordered: bool = False
    """Messages of one key are handled one after another, as they were stored (ADR-0036)."""
    reads: tuple[str, ...] = ()
    """The fields of its input that it looks at; empty: all."""
    deadlines: Deadlines = Deadlines()  # noqa: RUF009 - frozen, so it can be shared
    """Events that it may return in a `Later`, or cancel."""

    @property
    def outputs(self) -> tuple[EventSpec, ...]:
        """All that it may publish: now, later, and when it loses."""
        reacting = self.lost.outputs if self.lost else ()
        return tuple(dict.fromkeys((*self.returns, *reacting, *self.deadlines.later)))

    @property
    def title(self) -> str:
        """`payments.charge`, as people and records call it."""
        return f"{self.service}.{self.name}"

    @property
    def durable(self) -> str:
        """The durable's name; renaming service or handler leaves an orphan on the server."""
        return f"{self.service}-{self.name}"

    @property
    def runs(self) -> Literal["inline", "threads", "async"]:
        """Where its calls run: on the event loop one after another, in threads, or in tasks."""
        if self.is_async:
            return "async"
        return "threads" if self.threads else "inline"

    @property
    def decision(self) -> str | None:
        """The decision that its outputs belong to, if any."""
        return next((spec.decision for spec in self.returns if spec.decision), None)


def read_handler(
    service: str,
    function: Callable[..., Any],
    event_type: type[Struct],
    wrap: Iterable[Wrap | AsyncWrap] = (),
    signature: Signature | None = None,
    *,
    wanted: Wanted | None = None,
) -> Handler:
    """What the annotations of `function` declare; the rest is as when nothing is said."""
    signature = signature or read_signature(function)
    takes = input_of(event_type, signature)
    remembers = read_remembering(wanted or Wanted(), takes, signature)
    return Handler(
        service=service,
        name=signature.name,
        function=function,
        input=takes,
        returns=published_by(without_deadlines(signature), remembers),
        is_async=signature.is_async,
        delivery=signature.parameter_of(Delivery),
        needs=signature.needs(Delivery, behind=2 if remembers else 1),
        policy=Policy(),
        start="all",
        cycle=False,
        threads=0,
        where=signature.where,
        wraps=wraps_for(signature.name, signature.where, wrap, is_async=signature.is_async),
        remembers=remembers,
        deadlines=read_deadlines(signature, remembers),
    )


def checked(handler: Handler, reads: Iterable[str]) -> Handler:
    """The handler with what it reads, unless it begins nowhere or keeps an impossible order.

    Raises:
        DeclarationError: its start is none, it is ordered and its event has no key, or what it
            reads is one text.
    """
    if handler.start not in get_args(Start):
        raise DeclarationError(
            f"{handler.where}: {handler.name} has start={handler.start!r}.",
            remedy="Write 'all', from the first stored event on, or 'new', from the next one on.",
        )
    if handler.ordered and handler.input.key is None:
        raise DeclarationError(
            f"{handler.where}: {handler.name} is ordered, and {handler.input.name} has no key "
            "within which there could be an order.",
            remedy="Declare the event with key=…, or leave out ordered=True.",
        )
    looks = several(reads, "reads", f"{handler.where}: {handler.name}")
    return replace(handler, reads=looks)
