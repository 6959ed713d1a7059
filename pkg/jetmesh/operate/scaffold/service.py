"""`jetmesh new service`: a handler, the contracts that do not exist yet, a test, an example."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jetmesh.declare import Topology, derive
from jetmesh.errors import JetmeshError, UsageError
from jetmesh.operate.contracts import contents as contracts_of
from jetmesh.operate.example import made_up
from jetmesh.operate.generated import write
from jetmesh.operate.project import Project
from jetmesh.operate.scaffold.files import filled, placed
from jetmesh.operate.scaffold.listing import with_service
from jetmesh.operate.scaffold.literals import converted
from jetmesh.operate.scaffold.words import (
    checked_name,
    checked_subject,
    identifier,
    title,
    type_name,
)

_KEY = "id"
_INDENT = 4


@dataclass(frozen=True, slots=True)
class NewService:
    """What was asked for."""

    name: str
    on: str
    """The subject that it reacts to."""
    emits: Sequence[str] = ()
    """The subjects of what it may publish; the first is what the handler begins with."""


@dataclass(frozen=True, slots=True)
class _Event:
    """An event that the handler takes or makes, declared already or not."""

    subject: str
    type: str
    module: str
    key: str | None
    example: dict[str, Any] | None
    is_new: bool
    external: bool

    @property
    def literal(self) -> str:
        """How a test makes one; `...` where no example can be guessed."""
        if self.is_new:
            return f'{self.type}({self.key}="{self.subject.partition(".")[0]}-1")'
        return self.made(0, len("EXAMPLE = "))

    def made(self, indent: int, before: int) -> str:
        """How one is made of JSON."""
        if self.example is None:
            return f"msgspec.convert(..., {self.type})"
        return converted(self.example, self.type, indent, before)


@dataclass(frozen=True, slots=True)
class _Place:
    """A directory of modules, and the package that they are in."""

    directory: Path
    package: str

    def module(self, name: str) -> str:
        return f"{self.package}.{name}" if self.package else name

    def path(self, name: str) -> Path:
        return self.directory / f"{name}.py"


def add_service(project: Project, wanted: NewService) -> list[Path]:
    """Write it, list it, write the contracts anew; return the files that are new or changed.

    Raises:
        UsageError: the name or a subject is none, or a file exists.
        JetmeshError: the system with it would contradict itself; nothing was changed.
    """
    name = identifier(checked_name(wanted.name, "service"))
    system = project.system()
    topology = derive(system.load())
    if any(service.name == wanted.name for service in topology.services):
        raise UsageError(
            f"There is a service {wanted.name!r} already.", remedy="Choose another name."
        )
    listing = _file_of(project.reference.partition(":")[0])
    services = _services_place(project, system.services, listing)
    contracts = _contracts_place(topology, wanted.on, services)
    events = _events(topology, wanted, contracts)
    contents = dict(_files(project, wanted, events, services, contracts))
    module = services.module(name)
    changed = {listing: with_service(listing.read_text(encoding="utf-8"), module)}
    with placed(contents, changed):
        _forget([project.reference.partition(":")[0]])
        try:
            renewed = project.system()
            topology = derive(renewed.load())
        except JetmeshError as error:
            _forget([module, project.reference.partition(":")[0]])
            raise JetmeshError(f"{error}", remedy="Nothing was written.") from error
        generated = contracts_of(renewed, topology, project.root / "contracts")
        write(generated)
    return [*contents, *changed, project.root / "contracts"]


def _files(
    project: Project,
    wanted: NewService,
    events: Sequence[_Event],
    services: _Place,
    contracts: _Place,
) -> Iterable[tuple[Path, str]]:
    given, *made = events
    for event in events:
        if event.is_new:
            path = contracts.path(identifier(event.subject))
            values = {"subject": event.subject, "type": event.type, "key": event.key or _KEY}
            yield path, filled("contract.py", **values)
    name = identifier(wanted.name)
    function = f"on_{identifier(wanted.on)}"
    body, converts = _body(given, made)
    uses = _imports(events)
    yield (
        services.path(name),
        filled(
            "service.py",
            title=title(wanted.name),
            service=wanted.name,
            imports=_block(["from jetmesh import Service"], uses, converts=converts),
            input=given.type,
            function=function,
            variable=identifier(given.subject),
            outputs=" | ".join(each.type for each in made) or "None",
            body=body,
        ),
    )
    own = f"from {services.module(name)} import {function}, service"
    shown = _imports([given, *made[:1]])
    testing = ["from jetmesh.testing import outputs"]
    yield (
        project.root / "tests" / f"test_{name}.py",
        filled(
            "test.py",
            title=title(wanted.name),
            imports=_block(testing, {*shown, own}, converts=not given.is_new),
            example=given.literal,
            function=function,
            variable=identifier(given.subject),
            becomes=f"_becomes_{identifier(made[0].subject)}" if made else "_is_taken",
            made=made[0].type if made else "",
        ),
    )
    if given.external and given.example is not None:
        path = project.root / "examples" / given.subject / "example.json"
        if not path.exists():
            yield path, json.dumps(given.example, indent=2) + "\n"


def _body(given: _Event, made: Sequence[_Event]) -> tuple[str, bool]:
    """The lines of the handler, and whether they use msgspec."""
    indent = " " * _INDENT
    if not made:
        return f"{indent}del {identifier(given.subject)}  # nothing yet", False
    first = made[0]
    if first.is_new and given.key:
        value = f"{first.type}({first.key}={identifier(given.subject)}.{given.key})"
        return f"{indent}return {value}", False
    if first.is_new:
        return f"{indent}return {first.literal}", False
    return f"{indent}return {first.made(_INDENT, len('return '))}", True


def _imports(events: Sequence[_Event]) -> set[str]:
    return {f"from {event.module} import {event.type}" for event in events}


def _block(installed: list[str], own: Iterable[str], *, converts: bool) -> str:
    """Imports in the order of isort: what is installed, then what is of the project."""
    first = (["import msgspec"] if converts else []) + installed
    return "\n".join([*first, "", *sorted(set(own))])


def _events(topology: Topology, wanted: NewService, contracts: _Place) -> list[_Event]:
    """What the handler takes, then what it makes."""
    siblings = {spec.subject.partition(".")[0]: spec.key for spec in topology.events}
    found: list[_Event] = []
    for subject in (wanted.on, *wanted.emits):
        spec = topology.event(checked_subject(subject))
        domain = subject.partition(".")[0]
        if spec is not None and spec.subject == subject:
            module, external = spec.type.__module__, spec in topology.from_outside
            event = _Event(subject, spec.name, module, spec.key, made_up(spec), False, external)
        else:
            key = siblings.get(domain) or (found[0].key if found else None) or _KEY
            module = contracts.module(identifier(subject))
            value = {key: f"{domain}-1"}
            event = _Event(subject, type_name(subject), module, key, value, True, not found)
        found.append(event)
    return found


def _services_place(project: Project, listed: Sequence[str], listing: Path) -> _Place:
    """Beside the services that there are, else beside the system."""
    module = listed[0] if listed else project.reference.partition(":")[0]
    file = _file_of(listed[0]) if listed else listing
    return _Place(file.parent, module.rpartition(".")[0])


def _contracts_place(topology: Topology, subject: str, services: _Place) -> _Place:
    """Beside the event that is handled, or any other; where there is none in `contracts`."""
    known = topology.event(subject) or next(iter(topology.events), None)
    if known is not None:
        module = known.type.__module__
        return _Place(_file_of(module).parent, module.rpartition(".")[0])
    below = services.directory / "contracts"
    return _Place(below, services.module("contracts")) if below.is_dir() else services


def _file_of(module: str) -> Path:
    return Path(importlib.import_module(module).__file__ or "")


def _forget(modules: Iterable[str]) -> None:
    """Import them anew the next time: their files have changed."""
    for module in modules:
        sys.modules.pop(module, None)
    importlib.invalidate_caches()
