"""Events: one fact each, an immutable msgspec Struct with a subject."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, TypeVar, cast

from msgspec import Struct
from msgspec.inspect import Metadata, StrType, type_info
from msgspec.structs import fields

from jetmesh.declare.line import annotations_of, calling_line
from jetmesh.declare.replacement import Replacement
from jetmesh.declare.upcaster import Upcaster
from jetmesh.errors import DeclarationError, UsageError

_E = TypeVar("_E", bound=Struct)
Undo: TypeAlias = type[Struct] | str
_MARK: Final = "__jetmesh_event__"
_subject = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)+")
_pattern = re.compile(r"[a-z0-9_-]+(\.([a-z0-9_-]+|\*))+")


@dataclass(frozen=True, slots=True)
class EventSpec:
    """What `@event` declares, as a value."""

    type: type[Struct]
    subject: str
    """`orders.validated`; a keyed event is published on `orders.validated.<key>`."""
    key: str | None
    """The field that identifies what the event is about; the last token of the subject."""
    decision: str | None
    """A pattern of subjects, `orders.*`, of which a key may have only one, ever."""
    where: str
    """`file:line` of the declaration, for errors."""
    race: bool = False
    """Several causes decide on purpose: losing is no reason to wonder."""
    version: int = 1
    """Of the type: what is published says so, from 2 on."""
    oldest: int = 1
    """The oldest version that is still read; no stream holds one before it."""
    upcasters: dict[int, Upcaster] = field(default_factory=dict, compare=False, repr=False)
    """What `@upcasts` declares, by the version that it takes."""
    replacements: list[Replacement] = field(default_factory=list, compare=False, repr=False)
    """What `@replaces` declares: the events that take its place."""
    undone_by: Undo = field(default="", compare=False, repr=False)
    """The event that undoes what this one tells of, or why there is nothing to undo."""

    @property
    def name(self) -> str:
        return self.type.__name__

    @property
    def key_name(self) -> str:
        """The key's field by the name that is on the wire; empty for an event without one."""
        return next((f.encode_name for f in fields(self.type) if f.name == self.key), "")

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return (self.type.__doc__ or "").strip().partition("\n")[0]

    @property
    def stream(self) -> str:
        """The first token of the subject in capitals; renaming it orphans the stored events."""
        return self.subject.partition(".")[0].upper().replace("-", "_")

    @property
    def filters(self) -> tuple[str, ...]:
        """What a consumer of the event takes: as typed by a person, and as published keyed."""
        return (self.subject, f"{self.subject}.*") if self.key else (self.subject,)


def event(
    subject: str,
    *,
    key: str | None = None,
    decision: str | None = None,
    race: bool = False,
    version: int = 1,
    oldest: int = 1,
    undone_by: Undo = "",
) -> Callable[[type[_E]], type[_E]]:
    """Declare a frozen Struct as the event of `subject`.

        @event("orders.verdict.accepted", key="id", decision="orders.verdict.*")
        class OrderAccepted(Struct, frozen=True):
            id: str

    `subject`: the first part is the domain and chooses the stream, here ORDERS; changing it leaves
    what is stored behind, where no handler looks any more.

    `key`: the field that says what the event is about. Its value becomes the last part of the
    subject on which it is published, and ties its events together in logs and traces, so everybody
    who may look at the broker sees it. Without a key it takes part in no decision.

    `decision`: a pattern of subjects. Events that share it exclude one another: a key gets one of
    them, ever, and the server enforces it (ADR-0002); a second one is not stored. One service makes
    all events of a decision. Nothing else may match it, so give it a token of its own as above: the
    decision "orders.*" would close the whole domain to events that decide nothing.

    `race`: True says that several causes decide on purpose, and that the first one wins. Losing is
    then counted, and nothing else; without it each loss is a warning in the log and a mark in
    REFUSALS, because somebody decided who was not meant to. All events of a decision say the same.

    `version`: one more after each change that older readers or older stored events would not
    survive; what is stored stays as it is, and `upcasts` says how the next version is made of it.

    `oldest`: the oldest version that is still read. Those before were dropped: no stream holds one,
    and nobody publishes it.

    `undone_by`: the event that a process publishes to undo what this one tells of, such as a refund
    of a payment; or, in words, why there is nothing to undo. Asked of a state with `undone` ends.

    Raises:
        DeclarationError: the type is no frozen Struct, the subject no legal one, the key no
            string field of the type, a decision does not match its own subject, there is a race
            without a decision, or a version is none.
    """
    where = calling_line()

    def declare(cls: type[_E]) -> type[_E]:
        spec = EventSpec(
            cls, subject, key, decision, where, race, version, oldest, undone_by=undone_by
        )
        declare_spec(cls, spec)
        return cls

    return declare


def declare_spec(cls: type[Struct], spec: EventSpec) -> None:
    """Remember the declaration of a type.

    Raises:
        DeclarationError: as `event`.
    """
    _check(spec)
    setattr(cls, _MARK, spec)


def spec_of(cls: object) -> EventSpec | None:
    """The declaration of an event type, None for anything else (a subclass of one too)."""
    spec = vars(cls).get(_MARK) if isinstance(cls, type) else None
    return cast("EventSpec | None", spec)


def declared_spec(cls: object) -> EventSpec:
    """The declaration of an event type.

    Raises:
        UsageError: it is none.
    """
    spec = spec_of(cls)
    if spec is None:
        raise UsageError(
            f"{getattr(cls, '__name__', cls)} is not an event.",
            remedy="Give it @event, or name another.",
        )
    return spec


def key_of(spec: EventSpec, value: Struct) -> str:
    """The key that `value` carries, unescaped; empty for an event without one."""
    return str(getattr(value, spec.key)) if spec.key else ""


def matches(pattern: str, subject: str) -> bool:
    """Whether `pattern` (tokens and `*`) matches `subject`, token by token."""
    wanted, given = pattern.split("."), subject.split(".")
    return len(wanted) == len(given) and all(
        w in ("*", g) for w, g in zip(wanted, given, strict=True)
    )


def _check(spec: EventSpec) -> None:
    cls: Any = spec.type  # whatever the decorator was put on
    if not (isinstance(cls, type) and issubclass(cls, Struct)):
        raise _wrong(spec, "is not a msgspec Struct", "Write class Name(Struct, frozen=True).")
    if not cls.__struct_config__.frozen:
        raise _wrong(spec, "can be changed after it happened", "Add frozen=True.")
    if _subject.fullmatch(spec.subject) is None:
        raise _wrong(
            spec, f"has the subject {spec.subject!r}", "Use <domain>.<what happened> in lower case."
        )
    if spec.key is not None:
        _check_key(spec, spec.key)
    if spec.decision is not None:
        _check_decision(spec, spec.decision)
    elif spec.race:
        raise _wrong(spec, "is a race about nothing", "Add decision=…")
    undo = spec.undone_by
    if not (undo.strip() or not undo if isinstance(undo, str) else spec_of(undo)):
        raise _wrong(spec, "is undone by no event", "Name an event, or say why there is none.")
    if not 1 <= spec.oldest <= spec.version:
        what = f"has the version {spec.version} and {spec.oldest} as its oldest"
        raise _wrong(spec, what, "Count versions from 1; the oldest is one of them.")


def _check_key(spec: EventSpec, key: str) -> None:
    with annotations_of(f"{spec.where}: event {spec.name}"):
        found = {field.name: field for field in fields(spec.type)}
    if key not in found:
        raise _wrong(spec, f"has no field {key!r}", f"Its fields are {', '.join(found)}.")
    if not found[key].required:
        raise _wrong(spec, f"may lack its key {key!r}", "Remove the field's default.")
    kind = type_info(found[key].type)
    if not isinstance(kind.type if isinstance(kind, Metadata) else kind, StrType):
        raise _wrong(spec, f"has a key {key!r} that is not a string", "Annotate the field as str.")
    if isinstance(kind, Metadata) and (kind.extra or {}).get("sensitive"):
        raise _wrong(
            spec,
            f"has a sensitive key {key!r}, which would stand in every subject",
            "Choose a field that may be seen.",
        )


def _check_decision(spec: EventSpec, decision: str) -> None:
    if spec.key is None:
        raise _wrong(spec, "takes part in a decision without a key", "Add key=…")
    if _pattern.fullmatch(decision) is None or not matches(decision, spec.subject):
        raise _wrong(
            spec,
            f"has the decision {decision!r}, which does not match its subject {spec.subject!r}",
            f"Write decision={spec.subject.rpartition('.')[0] + '.*'!r}.",
        )


def _wrong(spec: EventSpec, what: str, remedy: str) -> DeclarationError:
    name = getattr(spec.type, "__qualname__", spec.type)
    return DeclarationError(f"{spec.where}: event {name} {what}.", remedy=remedy)
