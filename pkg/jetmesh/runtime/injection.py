"""What handlers, resources and pages receive by type: settings, resources, read models."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from starlette.routing import BaseRoute

from jetmesh.declare import Handler, History, Publishing, ReadModel, Resource, Service, Web
from jetmesh.errors import JetmeshError, StartError
from jetmesh.runtime.cancelled import is_cancelled
from jetmesh.runtime.failures import failed
from jetmesh.runtime.history import StoredHistory
from jetmesh.runtime.publishing import Publisher


class Injector:
    """Everything that a running service can hand to a parameter.

    Raises:
        StartError: a read model cannot be made.
    """

    def __init__(self, service: Service, settings: Any) -> None:
        self._service = service
        self._by_type: dict[type, Any] = {}
        if service.settings is not None:
            self._by_type[service.settings] = settings
        for model in service.read_models:
            self._by_type[model.type] = _made(model)
        self.history = StoredHistory(service.read_models)
        self._by_type[History] = self.history

    def supply(self, publisher: Publisher) -> None:
        """Hand `publisher` to whoever asks for one."""
        self._by_type |= {Publishing: publisher, Publisher: publisher}

    def of(self, needs: dict[str, type]) -> dict[str, Any]:
        """The arguments for parameters of these types."""
        return {name: self._by_type[kind] for name, kind in needs.items()}

    def with_reaction(self, handler: Handler) -> Handler:
        """A handler whose `lost` function has what it asks for by type."""
        if handler.lost is None:
            return handler
        function = partial(handler.lost.function, **self.of(handler.lost.needs))
        return replace(handler, lost=replace(handler.lost, function=function))

    def __getitem__(self, kind: type) -> Any:
        return self._by_type[kind]

    async def open(self, stack: AsyncExitStack) -> None:
        """Open every resource, those first that others need; `stack` closes them.

        Raises:
            StartError: one cannot be opened, or several need one another.
        """
        waiting = list(self._service.resources)
        while waiting:
            possible = [r for r in waiting if all(t in self._by_type for t in r.needs.values())]
            if not possible:
                names = ", ".join(_name(resource) for resource in waiting)
                raise StartError(
                    f"The resources {names} need one another.", remedy="Open one without the rest."
                )
            self._by_type[possible[0].type] = await self._open(possible[0], stack)
            waiting.remove(possible[0])

    def routes(self) -> list[BaseRoute]:
        """The routes of every page.

        Raises:
            StartError: a page cannot be made, or returns something else than routes.
        """
        return [route for web in self._service.pages for route in self._routes(web)]

    async def _open(self, resource: Resource, stack: AsyncExitStack) -> Any:
        opened = asynccontextmanager(resource.open)(**self.of(resource.needs))
        try:
            return await stack.enter_async_context(opened)
        except JetmeshError:
            raise
        except BaseException as error:
            if is_cancelled():
                raise
            raise failed(f"The resource {_name(resource)}", error) from error

    def _routes(self, web: Web) -> list[BaseRoute]:
        what = f"The page {web.function.__name__} ({web.where})"
        try:
            routes = list(web.function(**self.of(web.needs)))
        except JetmeshError:
            raise
        except Exception as error:
            raise failed(what, error, "It must return a list of Starlette routes.") from error
        for route in routes:
            if not isinstance(route, BaseRoute):
                raise StartError(
                    f"{what} returned {type(route).__name__}, which is not a Starlette route.",
                    remedy="Return a list of Route and Mount.",
                )
        return routes


def _made(model: ReadModel) -> Any:
    try:
        return model.type()
    except Exception as error:
        raise failed(
            f"The read model {model.type.__name__} ({model.where})",
            error,
            "It must be possible to create it without arguments.",
        ) from error


def _name(resource: Resource) -> str:
    return f"{getattr(resource.type, '__name__', resource.type)} ({resource.where})"
