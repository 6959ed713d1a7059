"""Storing what is written when a delivery does not end as meant, in streams that all share."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from jetmesh.privacy.mask import name_of
from jetmesh.runtime.cancelled import is_cancelled
from jetmesh.runtime.message.belief import Belief, Forged, Impossible, Place
from jetmesh.runtime.message.metrics import HandlerStats
from jetmesh.transport.seam import Message, Waiter
from jetmesh.transport.stored import StoredMessage


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter or a mark on its way (`seam.Waiter` through `Storing`)."""

    stream: str
    message: Message
    about: str
    """`PURCHASES:7`, whose it is."""
    other: Callable[[Message, StoredMessage], str]
    """Why what is stored is not this, in words."""
    stored: Callable[[], None]
    impossible: Callable[[str], None]
    forged: Callable[[Forged], None]


@dataclass(frozen=True, slots=True)
class Told:
    """Passes on what becomes of a message (`seam.Waiter`)."""

    stored: Callable[[], None]
    on_impossible: Callable[[str], None]
    on_duplicate: Callable[[Message, int], None]

    def on_stored(self, _: bytes) -> None:
        self.stored()

    def on_decided(self) -> None:
        self.stored()


class Storing:
    """Publishes letters and marks, and believes that one is stored when it is ours."""

    belief: Belief
    """Set by whoever runs the handler, as is `spawn`."""
    spawn: Callable[[Coroutine[Any, Any, None]], object]
    """Runs what waits for the broker."""

    def __init__(
        self, publish: Callable[[bytes, bytes, bytes, Waiter], None], stats: HandlerStats
    ) -> None:
        self._publish = publish
        self._stats = stats

    def store(self, letter: Letter) -> None:
        """Publish, and call what the letter says once its fate is known."""
        look = partial(self._on_duplicate, letter)
        self._publish(*letter.message, Told(letter.stored, letter.impossible, look))

    def _on_duplicate(self, letter: Letter, message: Message, sequence: int) -> None:
        self.spawn(self._find_out(letter, message, sequence))

    async def _find_out(self, letter: Letter, message: Message, sequence: int) -> None:
        doubt = partial(letter.other, message)
        try:
            about = letter.stream, message, sequence, doubt, letter.about
            fate = await self.belief.confirm(*about, rather_twice=True)
        except BaseException as error:  # noqa: BLE001 - its delivery would never have a verdict
            if not is_cancelled():
                letter.impossible(name_of(error))
            return
        match fate:
            case Forged():
                letter.forged(fate)
            case Impossible(reason):
                letter.impossible(reason)
            case Place(squatted=squatted):
                self._stats.squatted += squatted
                letter.stored()
            case _:
                letter.stored()


def tell(stats: HandlerStats, handler: str, about: str, forged: Forged) -> None:
    """Something forged was found, for the first time."""
    stats.forged += 1
    structlog.get_logger().error(
        "forged message in the way",
        handler=handler,
        cause=about,
        stored=forged.place,
        subject=forged.stored.subject,
        why=forged.why,
    )
