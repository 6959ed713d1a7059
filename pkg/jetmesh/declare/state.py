"""States: what is remembered of one key, as the newest message of its subject (ADR-0033)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias, TypeVar, get_args, get_origin, get_type_hints

from msgspec import Struct
from msgspec.inspect import Metadata, StrType, type_info
from msgspec.structs import fields

from jetmesh.declare.annotated import known, outputs_of
from jetmesh.declare.event import EventSpec, declare_spec, spec_of
from jetmesh.declare.line import calling_line
from jetmesh.declare.process import Moves, Otherwise, Process, read_moves, read_process
from jetmesh.declare.signature import UNIONS, Signature, members
from jetmesh.errors import DeclarationError
from jetmesh.protocol.streams import STATES

_S = TypeVar("_S", bound=Struct)
_MOST_VERSIONS: Final = 1000


@dataclass(frozen=True, slots=True)
class StateSpec(EventSpec):
    """What `@state` declares: to whoever only reads it, an event that replaces the one before."""

    history: int = 1
    """So many versions of a key are kept."""
    process: Process | None = field(default=None, compare=False, repr=False)
    """Its steps, if it has some."""

    @property
    def title(self) -> str:
        """Its name, without what all states' subjects begin with."""
        return self.subject.partition(".")[2]

    @property
    def stream(self) -> str:
        """Its own: how long a state is kept has nothing to do with events."""
        return self.subject.upper().replace(".", "_").replace("-", "_")


class Forget:
    """Returned instead of a state: nothing is remembered of the key any more.

    That its inputs were handled is; so none of them is handled again.
    """


def state(  # noqa: PLR0913 - each says one thing of a state, by name
    name: str,
    *,
    key: str,
    history: int = 1,
    version: int = 1,
    oldest: int = 1,
    steps: str = "",
    ends: Iterable[Any] = (),
    undone: Iterable[Any] = (),
    forever: Mapping[Any, str] | None = None,
    former: Iterable[Any] = (),
) -> Callable[[type[_S]], type[_S]]:
    """Declare a frozen Struct as what one service remembers of each key.

        @state("loyalty.accounts", key="customer_id")
        class Account(Struct, frozen=True):
            customer_id: str
            points: int = 0

    `name`: it is stored on `states.<name>.<key>`, in a stream of its own.

    `key`: the field that says whose it is.

    `history`: how many versions of each key are kept, from 1 to 1000.

    `version`, `oldest`: as of an `event`; `upcasts` makes each version of the one before.

    `steps`: the field that says in which step its process stands, a `Literal` or an `Enum`; each
    handler says its `moves` then. `ends`: steps where a process may stay for ever. `undone`: ends
    in which nothing is left of what was done. `forever`: steps that wait without a deadline, each
    with the reason. `former`: steps that nothing leads to any more, which live processes leave.

    Raises:
        DeclarationError: as `event`, or the history is none, or what is said of steps cannot work.
    """
    where = calling_line()

    def declare(cls: type[_S]) -> type[_S]:
        about = cls, f"{STATES}.{name}", key, None, where, False, version, oldest
        spec = StateSpec(*about, history=history)
        _check_history(spec)
        declare_spec(cls, spec)  # it checks that this is a Struct before its fields are read
        process = read_process(
            cls, where, steps=steps, ends=ends, undone=undone, forever=forever, former=former
        )
        if process is not None:
            declare_spec(cls, replace(spec, process=process))
        return cls

    return declare


def _check_history(spec: StateSpec) -> None:
    if not 1 <= spec.history <= _MOST_VERSIONS:
        raise DeclarationError(
            f"{spec.where}: state {spec.name} cannot keep {spec.history} versions.",
            remedy=f"Choose from 1 to {_MOST_VERSIONS}.",
        )


_Path: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Remembering:
    """Which state a handler reads and replaces, and where its event says whose."""

    state: StateSpec
    by: _Path
    """The fields of the event that lead to the key; the last may be a property of a contract."""
    moves: Moves | None = field(default=None, compare=False, repr=False)
    """What it does to the steps of a process."""

    def key(self, event: Any) -> str:
        """The key of the state that an event is about."""
        found = event
        for name in self.by:
            found = getattr(found, name)
        return str(found)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What `on(…, state=, by=, moves=, otherwise=)` is given."""

    state: type[Struct] | None = None
    by: str = ""
    moves: Mapping[Any, Any] | None = None
    otherwise: Otherwise | None = None


def read_remembering(wanted: Wanted, event: EventSpec, signature: Signature) -> Remembering | None:
    """What a handler remembers; None when it is to remember nothing.

    Raises:
        DeclarationError: it is no state, the path leads nowhere or may lead nowhere, or the
            function does not take the state, or is no plain `def`, or its moves cannot be made.
    """
    if wanted.state is None:
        if wanted.by:
            raise _wrong(
                signature,
                f"has by={wanted.by!r} and remembers nothing",
                "Write state=… as well, or leave by out.",
            )
        read_moves(None, wanted.moves, wanted.otherwise, event.name, signature)
        return None
    spec = spec_of(wanted.state)
    if not isinstance(spec, StateSpec):
        raise _wrong(
            signature,
            f"remembers {getattr(wanted.state, '__name__', wanted.state)}, which is no state",
            "Declare it with @state(name, key=…).",
        )
    if signature.is_async:
        raise _wrong(
            signature,
            "remembers and is async: who loses a race runs again, so it may have no effects",
            "Write def, and have a handler of its output do the effect.",
        )
    taken = list(signature.parameters.values())
    moves = wanted.moves
    always = spec.process is not None and isinstance(moves, Mapping) and None not in moves
    given = taken[1] if len(taken) > 1 else None
    if not _is_optional(given, spec.type) and not (always and given is spec.type):
        raise _wrong(
            signature,
            f"does not take the {spec.name} that it remembers",
            f"Annotate its second parameter {spec.name} | None.",
        )
    path = tuple((wanted.by or _same_field(event, spec)).split("."))
    _check_path(event, path, signature)
    read = read_moves(spec.process, moves, wanted.otherwise, event.name, signature)
    return Remembering(spec, path, read)


def published_by(signature: Signature, remembers: Remembering | None) -> tuple[EventSpec, ...]:
    """Every event that a handler may return; the state that it remembers is none of them.

    Raises:
        DeclarationError: it returns what it cannot, or never the state that it remembers.
    """
    if remembers is None:
        found = outputs_of(signature)
        for spec in found:
            if isinstance(spec, StateSpec):
                raise _wrong(
                    signature,
                    f"returns the state {spec.name} and remembers none",
                    f"Write on(…, state={spec.name}).",
                )
        return found
    own = remembers.state
    returned = [each for each in members(signature.result) if each is not Forget]
    if own.type not in returned and len(returned) == len([*members(signature.result)]):
        raise _wrong(
            signature,
            f"remembers {own.name} and never returns one",
            f"Add {own.name} to its return annotation, or Forget.",
        )
    events = dict.fromkeys(
        known(each, signature.where) for each in returned if each is not own.type
    )
    for spec in events:
        if isinstance(spec, StateSpec):
            raise _wrong(
                signature, f"returns the state {spec.name} too", "Remember one state in a handler."
            )
        if spec.decision or not spec.key:
            why = "decides" if spec.decision else "has no key"
            raise _wrong(
                signature,
                f"remembers {own.name} and returns {spec.name}, which {why}",
                "The state decides: return an event with a key that is no outcome of a decision.",
            )
    return tuple(events)


def _same_field(event: EventSpec, spec: StateSpec) -> str:
    """Without `by`: the event's field of the same name as the state's key, else its own key."""
    names = {field.name for field in fields(event.type)}
    return spec.key if spec.key in names else event.key or spec.key or ""


def _check_path(event: EventSpec, path: _Path, signature: Signature) -> None:
    cls: Any = event.type
    for place, name in enumerate(path):
        so_far = ".".join(path[: place + 1])
        known = fields(cls) if isinstance(cls, type) and issubclass(cls, Struct) else ()
        found = next((field for field in known if field.name == name), None)
        if found is None and isinstance(made := getattr(cls, name, None), property):
            cls = get_type_hints(made.fget).get("return")
            continue
        if found is None:
            here = ", ".join(field.name for field in known) or "none"
            raise _wrong(
                signature,
                f"has by={'.'.join(path)!r}, and {event.name} has no {so_far}",
                f"The fields there are {here}.",
            )
        if not found.required:
            raise _wrong(
                signature,
                f"has by={'.'.join(path)!r}, and {event.name} may lack {so_far}",
                "Choose a field that every event has.",
            )
        cls = found.type
    kind = type_info(cls)
    if not isinstance(kind.type if isinstance(kind, Metadata) else kind, StrType):
        raise _wrong(
            signature, f"has by={'.'.join(path)!r}, which is no string", "Choose a str field."
        )


def _is_optional(annotation: Any, cls: type) -> bool:
    return get_origin(annotation) in UNIONS and {*get_args(annotation)} == {cls, type(None)}


def _wrong(signature: Signature, what: str, remedy: str) -> DeclarationError:
    return DeclarationError(f"{signature.where}: {signature.name} {what}.", remedy=remedy)
