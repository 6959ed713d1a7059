"""What a story is made of, derived once: it may be played many times."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from jetmesh.declare import DurableSpec, EventSpec, Service, SlotSpec, StateSpec, derive, spec_of
from jetmesh.errors import UsageError
from jetmesh.settings import load_settings
from jetmesh.testing.simulation.server import Server
from jetmesh.testing.story.doubles import check_names
from jetmesh.transport.provision import durable_config, stream_config


class Script:
    """Services as they are declared, and the streams and durables that follow from that."""

    def __init__(
        self,
        services: Sequence[Service],
        settings: Mapping[str, str],
        given: Mapping[str, Any],
    ) -> None:
        if not services:
            raise UsageError("A story has no services.", remedy="Story(payments, …)")
        check_names(services, given)
        self.services = tuple(services)
        self._unused = _copied(given)
        loaded = load_settings(services, file=Path(os.devnull), environ=settings)
        self.settings = {service.name: loaded.of(service) for service in services}
        policies = loaded.policies(services)
        self.topology = derive(services, policies=policies, audited=False)
        self.topologies = {
            s.name: derive([s], policies=loaded.policies([s]), audited=False) for s in services
        }
        # of a state all that it ever was is kept: what was stored is what is looked at
        self._streams = [
            {**stream_config(spec), "max_msgs_per_subject": -1} for spec in self.topology.streams
        ]
        several: list[DurableSpec | SlotSpec] = [*self.topology.durables, *self.topology.slots]
        self._durables = [(spec.stream, durable_config(spec)) for spec in several]
        self.specs: dict[type[Struct], EventSpec] = {s.type: s for s in self.topology.events}
        self.states = {s.type: s for s in self.specs.values() if isinstance(s, StateSpec)}

    def server(self) -> Server:
        """A server that holds what is declared."""
        made = Server()
        for config in self._streams:
            made.add_stream(config)
        for stream, config in self._durables:
            made.add_durable(stream, config)
        return made

    def new_doubles(self) -> Mapping[str, Any]:
        """What was given for resources, as it was before anything happened to it.

        Raises:
            UsageError: it cannot be copied.
        """
        found = _copied(self._unused) if self._unused is not None else None
        if found is None:
            raise UsageError(
                "What was given for a resource cannot be copied, and each seed needs its own.",
                remedy="Declare it with @service.rehearsal, which makes a new one.",
            )
        return found

    def spec(self, event_type: type[Struct]) -> EventSpec:
        """How an event of this story is declared.

        Raises:
            UsageError: none of its services knows it.
        """
        found = self.specs.get(event_type)
        if found is None:
            names = ", ".join(service.name for service in self.services)
            is_event = spec_of(event_type) is not None
            raise UsageError(
                f"{event_type.__name__} is {'no event of' if is_event else 'no event, for'} "
                f"{names}.",
                remedy="Add the service that handles it to Story(…)."
                if is_event
                else "Declare it with @event.",
            )
        return found

    def require_reader(self, event_type: type[Struct]) -> EventSpec:
        """Raises UsageError: nobody here would notice such an event."""
        spec = self.spec(event_type)
        if isinstance(spec, StateSpec):
            raise UsageError(
                f"{event_type.__name__} is a state: nobody publishes it but its handlers.",
                remedy="Give an event that changes it.",
            )
        if not self.topology.readers(spec):
            raise UsageError(
                f"Nobody in this story handles {event_type.__name__}.",
                remedy="Add the service that does to Story(…).",
            )
        return spec


def _copied(given: Mapping[str, Any]) -> Mapping[str, Any] | None:
    try:
        return copy.deepcopy(given)
    except Exception:  # noqa: BLE001 - it may hold anything, and is needed only to explore
        return None
