"""Handlers without a server: what a function returns for an event, checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from jetmesh.declare import Cancel, Handler, Later, Service, derive, escape_key
from jetmesh.errors import UsageError
from jetmesh.runtime.message.outputs import Outputs
from jetmesh.runtime.message.wrapped import wrapped
from jetmesh.testing.given import delivery


def outputs(
    service: Service, function: Callable[..., Any], event: Struct, **given: Any
) -> list[Any]:
    """Call a `def` handler as the mesh would and return its outputs, decisions first.

    Input and outputs go through their encoding and back, so a value that does not keep its
    contract fails here. What wraps the service's handlers runs, too. A `Delivery` and default
    settings are passed unless given by name.

    Raises:
        UsageError: `function` is no `def` handler of `service`, or an argument is missing.
        ContractViolation, msgspec.ValidationError: a value does not keep its contract.
        Exception: whatever the handler raises.
    """
    handler = _handler(service, function)
    if handler.is_async:
        raise UsageError(
            f"{handler.name} is an async def handler.", remedy="Use await aoutputs(…)."
        )
    arguments = _arguments(service, handler, event, given)
    return _checked(handler, _called(handler, event, arguments))


async def aoutputs(
    service: Service, function: Callable[..., Any], event: Struct, **given: Any
) -> list[Any]:
    """`outputs` of an `async def` handler."""
    handler = _handler(service, function)
    if not handler.is_async:
        raise UsageError(f"{handler.name} is a def handler.", remedy="Use outputs(…).")
    arguments = _arguments(service, handler, event, given)
    return _checked(handler, await _called(handler, event, arguments))


def _handler(service: Service, function: Callable[..., Any]) -> Handler:
    derive([service], audited=False)
    for handler in service.handlers:
        if handler.function is function:
            return handler
    raise UsageError(
        f"{function} is not a handler of {service.name}.", remedy="Declare it with on()."
    )


def _called(handler: Handler, event: Struct, arguments: dict[str, Any]) -> Any:
    """Within what wraps it, as a mesh does."""
    read = _input(handler, event)
    about = arguments.get(handler.delivery or "") or delivery(event, handler=handler.title)
    return wrapped(lambda given, _: handler.function(given, **arguments), handler.wraps)(
        read, about
    )


def _input(handler: Handler, event: Struct) -> Struct:
    if handler.input.key is not None:
        escape_key(getattr(event, handler.input.key))  # refuses a key that cannot be one
    return _through(event)


def _through(event: Struct) -> Struct:
    decoded: Struct = msgspec.json.decode(msgspec.json.encode(event), type=type(event))
    return decoded


def _arguments(
    service: Service, handler: Handler, event: Struct, given: dict[str, Any]
) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    if handler.delivery:
        arguments[handler.delivery] = delivery(event, handler=handler.title)
    for name, kind in handler.needs.items():
        if kind is service.settings and name not in given:
            arguments[name] = _default_settings(handler, name, kind)
    arguments.update(given)
    expected = {handler.delivery, *handler.needs} - {None}
    if wrong := expected ^ set(arguments):
        raise UsageError(
            f"{handler.name} takes {sorted(map(str, expected))}, given were {sorted(arguments)}.",
            remedy=f"Correct {', '.join(sorted(map(str, wrong)))}.",
        )
    return arguments


def _default_settings(handler: Handler, name: str, kind: type) -> Any:
    try:
        return kind()
    except TypeError as error:
        raise UsageError(
            f"{kind.__name__} has fields without defaults: {error}.",
            remedy=f"Pass {name}={kind.__name__}(…) to {handler.name}.",
        ) from error


def _checked(handler: Handler, result: Any) -> list[Any]:
    if result is None:
        return []
    made = Outputs(handler)
    values = made.ordered(result)
    for value in values:
        made.by_type[type(value)].message(value, b"1-1")
        if not isinstance(value, Cancel):
            _through(value.event if isinstance(value, Later) else value)
    return values
