"""The bound of a read model: how many keys it may hold, and what goes when there are more."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog
from msgspec import Struct

from jetmesh.declare import ReadModel, Record

_Apply = Callable[[Any, Record], None]

log: Final = structlog.get_logger()


class Bound:
    """Folds into one read model, and has it drop the key that changed longest ago if need be."""

    def __init__(self, model: ReadModel, instance: Any) -> None:
        self.dropped = 0
        """Keys that the read model no longer holds, though their events are stored."""
        self._name = model.type.__name__
        self._most = model.most_keys
        self._fields: Mapping[type[Struct], str | None] = {s.type: s.key for s in model.events}
        self._instance = instance
        self._keys: OrderedDict[str, None] = OrderedDict()

    def apply(self, event: Any, record: Record) -> None:
        """What the model's own `apply` does, and no more keys afterwards than are allowed."""
        self._instance.apply(event, record)
        key = getattr(event, self._fields[type(event)] or "")
        self._keys[key] = None
        self._keys.move_to_end(key)
        if len(self._keys) > self._most:
            oldest, _ = self._keys.popitem(last=False)
            self._instance.drop(oldest)
            self._count()

    def clear(self) -> None:
        """The read model begins anew."""
        self._keys.clear()
        self.dropped = 0

    def _count(self) -> None:
        self.dropped += 1
        if self.dropped == 1:
            log.warning(
                "the read model is full and drops what changed longest ago",
                read_model=self._name,
                most_keys=self._most,
                remedy="raise most_keys, if there is memory",
            )


def bounded(model: ReadModel, instance: Any) -> tuple[_Apply, Callable[[], None]]:
    """How to fold into `instance`, and what to do when it begins anew."""
    if not model.most_keys:
        return instance.apply, lambda: None
    bound = Bound(model, instance)
    return bound.apply, bound.clear
