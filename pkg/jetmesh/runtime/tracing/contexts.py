"""What is sent and settled while a context is current belongs to its span, and to its delivery."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry import context as contexts
from opentelemetry.context import Context
from opentelemetry.trace import Link

from jetmesh.runtime.message.delivered import Delivered

_DELIVERED = contexts.create_key("jetmesh-delivered")
_RACING = contexts.create_key("jetmesh-racing")


def about(delivered: Delivered, context: Context) -> Context:
    """`context`, in which verdicts are about `delivered`."""
    return contexts.set_value(_DELIVERED, delivered, context)


def racing(context: Context, links: Sequence[Link]) -> Context:
    """`context`, in which a message may come second without being wrong, and links to others."""
    return contexts.set_value(_RACING, links, context)


def current_race() -> Sequence[Link] | None:
    """The links of a message that may come second; None of any other."""
    found: Any = contexts.get_value(_RACING)
    return None if found is None else list(found)


def current_delivery() -> Delivered | None:
    """What a verdict is about; None for what is given back without having run."""
    found = contexts.get_value(_DELIVERED)
    return found if isinstance(found, Delivered) else None


class within:  # noqa: N801 - it stands where a statement does
    """Run a block in `context`; for every message, so it is no generator."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: Context) -> None:
        self._context = context

    def __enter__(self) -> None:
        self._token = contexts.attach(self._context)

    def __exit__(self, *_: object) -> None:
        contexts.detach(self._token)
