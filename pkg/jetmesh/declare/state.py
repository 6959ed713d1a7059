"""States: what is remembered of one key, as the newest message of its subject (ADR-0033)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar, get_args, get_origin, get_type_hints

from msgspec import Struct
from msgspec.inspect import Metadata, StrType, type_info
from msgspec.structs import fields

from jetmesh.declare.annotated import known, outputs_of
from jetmesh.declare.event import EventSpec, declare_spec, spec_of
from jetmesh.declare.line import calling_line
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


def state(
    name: str, *, key: str, history: int = 1, version: int = 1, oldest: int = 1
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

    Raises:
        DeclarationError: as `event`, or the history is none.
    """
    where = calling_line()

    def declare(cls: type[_S]) -> type[_S]:
        spec = StateSpec(
            cls,
            f"{STATES}.{name}",
            key,
            None,
            where,
            version=version,
            oldest=oldest,
            history=history,
        )
        if not 1 <= history <= _MOST_VERSIONS:
            raise DeclarationError(
                f"{where}: state {cls.__name__} cannot keep {history} versions.",
                remedy=f"Choose from 1 to {_MOST_VERSIONS}.",
            )
        declare_spec(cls, spec)
        return cls

    return declare


_Path: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Remembering:
    """Which state a handler reads and replaces, and where its event says whose."""

    state: StateSpec
    by: _Path
    """The fields of the event that lead to the key; the last may be a property of a contract."""

    def key(self, event: Any) -> str:
        """The key of the state that an event is about."""
        found = event
        for name in self.by:
            found = getattr(found, name)
        return str(found)


def read_remembering(
    state_type: type[Struct], by: str, event: EventSpec, signature: Signature
) -> Remembering:
    """What `on(…, state=, by=)` declares.

    Raises:
        DeclarationError: it is no state, the path leads nowhere or may lead nowhere, or the
            function does not take the state, or is no plain `def`.
    """
    spec = spec_of(state_type)
    if not isinstance(spec, StateSpec):
        raise _wrong(
            signature,
            f"remembers {getattr(state_type, '__name__', state_type)}, which is no state",
            "Declare it with @state(name, key=…).",
        )
    if signature.is_async:
        raise _wrong(
            signature,
            "remembers and is async: who loses a race runs again, so it may have no effects",
            "Write def, and have a handler of its output do the effect.",
        )
    taken = list(signature.parameters.values())
    if len(taken) < 2 or not _is_optional(taken[1], spec.type):  # noqa: PLR2004 - event and state
        raise _wrong(
            signature,
            f"does not take the {spec.name} that it remembers",
            f"Annotate its second parameter {spec.name} | None.",
        )
    path = tuple((by or _same_field(event, spec)).split("."))
    _check_path(event, path, signature)
    return Remembering(spec, path)


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
