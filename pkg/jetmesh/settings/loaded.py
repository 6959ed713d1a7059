"""The settings in effect, with where each came from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct, ValidationError
from msgspec.structs import fields, replace

from jetmesh.declare.policy import Policy, problems_of
from jetmesh.declare.rejected import unknown_exceptions
from jetmesh.declare.service import Service
from jetmesh.declare.setting import Leaf, Names, leaves
from jetmesh.declare.topology import StreamTuning
from jetmesh.errors import SettingsError
from jetmesh.settings.address import shown, without_userinfo
from jetmesh.settings.sources import decode
from jetmesh.settings.tree import HttpSettings, Settings


@dataclass(frozen=True, slots=True)
class Effective:
    """One setting as people see it."""

    path: str
    value: str
    """Masked when it is a secret."""
    origin: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings and the origin of each value."""

    settings: Settings
    origins: dict[str, str]
    """`nats.url` to `default`, a file's path or a variable's name."""
    names: Names = field(repr=False)

    def policies(self, services: Iterable[Service]) -> dict[tuple[str, str], Policy]:
        """The policy of every handler: what the code declares, changed by what was set.

        Raises:
            SettingsError: a changed policy cannot work.
        """
        return {
            (service.name, handler.name): self._policy(service.name, handler.name, handler.policy)
            for service in services
            for handler in service.handlers
        }

    def stream_tunings(self) -> dict[str, StreamTuning]:
        """The tuning of every stream that was changed."""
        return {name: decode(given, StreamTuning) for name, given in self.settings.streams.items()}

    def of(self, service: Service) -> Struct | None:
        """The service's own settings, None when it declares none.

        Raises:
            SettingsError: one without a default was not given, or they do not fit together.
        """
        if service.settings is None:
            return None
        section = self.settings.services.get(service.name)
        given = section.settings if section else {}
        table = f"services.{service.name}.settings"
        for f in fields(service.settings):
            if f.required and f.encode_name not in given:
                raise SettingsError(
                    f"{service.name} needs the setting {f.encode_name!r}, which has no default.",
                    remedy=f"Set it in [{table}], or as {service.variable(f.encode_name)}.",
                )
        try:
            made: Struct = decode(given, service.settings)
        except ValidationError as error:
            raise SettingsError(f"{table}: {error}.") from error
        return made

    def http(self, service: str) -> HttpSettings:
        """Where `service` listens: `http`, changed by what was set for it alone."""
        section = self.settings.services.get(service)
        given = section.http if section else {}
        return replace(self.settings.http, **given)

    def effective(self, services: Iterable[Service]) -> Iterator[Effective]:
        """Every setting of the tree and of `services`, secrets masked.

        Raises:
            SettingsError: a policy cannot work.
        """
        policies = self.policies(services := tuple(services))
        for path, leaf in leaves(self.names):
            dotted = ".".join(path)
            value = self._value(path, policies, services)
            text = shown(value) if dotted == "nats.url" else _text(value, leaf)
            yield Effective(dotted, text, self.origins.get(dotted, "default"))

    def _policy(self, service: str, handler: str, declared: Policy) -> Policy:
        section = self.settings.services.get(service)
        given = section.handlers.get(handler, {}) if section else {}
        changed = decode(given, Policy)
        policy = replace(declared, **{name: getattr(changed, name) for name in given})
        for problem in problems_of(policy):
            raise SettingsError(
                f"services.{service}.handlers.{handler}: {problem}.", remedy="Change one of them."
            )
        for name in unknown_exceptions(policy.rejects if "rejects" in given else ()):
            raise SettingsError(
                f"services.{service}.handlers.{handler}: rejects names {name!r}, which is no "
                "exception here.",
                remedy="Write Class or module.Class, as the traceback of the dead letter has it.",
            )
        return policy

    def _value(
        self,
        path: tuple[str, ...],
        policies: dict[tuple[str, str], Policy],
        services: tuple[Service, ...],
    ) -> Any:
        match path:
            case ("services", service, "handlers", handler, name):
                return getattr(policies[service, handler], name)
            case ("services", service, "http", name):
                return getattr(self.http(service), name)
            case ("services", name, "settings", *rest):
                types = {service.name: service.settings for service in services}
                section = self.settings.services.get(name)
                return _inside(types[name], section.settings if section else {}, rest)
            case ("streams", stream, name):
                return getattr(self.stream_tunings().get(stream, StreamTuning()), name)
        value: Any = self.settings
        for name in path:
            value = getattr(value, name)
        return value


def _inside(struct: type[Struct] | None, given: dict[str, Any], path: list[str]) -> Any:
    """The value given at `path`, else its default; `(not set)` when it has none."""
    name, *rest = path
    known = {f.encode_name: f for f in fields(struct)} if struct else {}
    f = known[name]
    if rest:
        return _inside(f.type, given.get(name, {}), rest)
    if name in given:
        return given[name]
    made = f.default_factory() if callable(f.default_factory) else f.default
    return "(not set)" if f.required else made


def _text(value: Any, leaf: Leaf) -> str:
    if leaf.sensitive and value not in ("", None):
        return "***"
    return without_userinfo(str(value))
