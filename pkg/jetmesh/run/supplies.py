"""What handlers, resources and pages receive by type: settings, resources, read models."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from jetmesh.declare import Service


class Supplies:
    """Everything that a running service can hand to a parameter."""

    def __init__(self, service: Service, settings: Any) -> None:
        self._service = service
        self._by_type: dict[type, Any] = {}
        if service.settings is not None:
            self._by_type[service.settings] = settings
        for model in service.read_models:
            self._by_type[model.type] = model.type()

    def of(self, needs: dict[str, type]) -> dict[str, Any]:
        """The arguments for parameters of these types."""
        return {name: self._by_type[kind] for name, kind in needs.items()}

    def __getitem__(self, kind: type) -> Any:
        return self._by_type[kind]

    async def open(self, stack: AsyncExitStack) -> None:
        """Open every resource, those first that others need; `stack` closes them."""
        waiting = list(self._service.resources)
        while waiting:
            possible = [r for r in waiting if all(t in self._by_type for t in r.needs.values())]
            resource = (possible or waiting)[0]
            opened = asynccontextmanager(resource.open)(**self.of(resource.needs))
            self._by_type[resource.type] = await stack.enter_async_context(opened)
            waiting.remove(resource)
