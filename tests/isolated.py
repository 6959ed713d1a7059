"""A broker that lets everyone do only what is derived, and everyone's settings for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jetmesh import Topology
from jetmesh.operate.identities import (
    OPERATOR,
    RESERVED,
    Isolation,
    Nkeys,
    ServerConfig,
    server_config,
)
from jetmesh.operate.up.broker import Broker
from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane


@dataclass(frozen=True)
class Isolated:
    """A running broker with derived identities."""

    broker: Broker
    config: ServerConfig

    def settings(self, name: str) -> NatsSettings:
        fields: dict[str, Any] = {"url": self.broker.url, **self.config.settings(name)}
        return NatsSettings(**fields)

    def variables(self, name: str) -> dict[str, str]:
        """What a service is told that somebody else applies for."""
        told = {f"JETMESH__NATS__{k.upper()}": v for k, v in self.config.settings(name).items()}
        return {"JETMESH__PROVISION": "verify", "JETMESH__GRACE": "200ms", **told}

    async def control(self, name: str = OPERATOR) -> ControlPlane:
        return await ControlPlane.connect(self.settings(name), name=name)


def config_of(topology: Topology, isolation: Isolation, directory: Path) -> ServerConfig:
    """With nkeys whose seeds are in `directory`."""
    names = [*RESERVED, *(service.name for service in topology.services)]
    return server_config(
        topology,
        isolation=isolation,
        credentials=Nkeys.kept_in(directory / "identities", names),
        no_auth_user=True,
    )


@contextmanager
def isolated(
    topology: Topology, isolation: Isolation, directory: Path, *, more: str = ""
) -> Iterator[Isolated]:
    """Start it; `more` stands in its configuration, too."""
    config = config_of(topology, isolation, directory)
    file = directory / "server.conf"
    file.write_text(f"{more}\n{config.text}")
    with Broker(directory / "store", config=file) as broker:
        yield Isolated(broker, config)
