"""What handlers did while a story was played: the promises are judged by it."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import msgspec

from jetmesh.declare import Delivery, Handler
from jetmesh.protocol.steps import Following
from jetmesh.runtime.message.delivered import Delivered

Frame: TypeAlias = tuple[bytes, bytes, bytes]
"""Subject, headers, payload of something published."""
Run: TypeAlias = tuple[str, str]
"""`payments.charge`, and the message that it handled, as `Delivery.cause` has it."""


@dataclass(slots=True)
class Taken:
    """What one step of a state took in."""

    inputs: list[Run] = field(default_factory=list)
    following: list[Following] = field(default_factory=list)


decided: Final[ContextVar[str]] = ContextVar("decided", default="")
"""The outcome that was stored before an attempt looked for one, in words."""


class Record:
    """Notes every attempt and every step."""

    def __init__(self) -> None:
        self.broken: list[str] = []
        """Promises that were seen to be broken on the way, in words."""
        self.results: dict[Run, Any] = {}
        """What the last attempt returned that returned something."""
        self.steps: dict[Frame, Taken] = {}
        self._open: dict[tuple[str, bytes], Taken] = {}
        """By process and subject: what is taken in, and not published yet."""

    # attempts

    def begins(self, handler: Handler, delivery: Delivery) -> None:
        """An attempt begins."""
        if outcome := decided.get():
            self.broken.append(
                f"{handler.title} ran for {delivery.cause}, whose key had its outcome: {outcome}"
            )

    def ran(
        self, handler: Handler, delivery: Delivery, result: Any, again: Callable[[], Any]
    ) -> None:
        """A handler returned `result`; `again` calls it once more, for one without effects."""
        self.results[handler.title, delivery.cause] = result
        if handler.runs != "inline":
            return
        first, second = _text(result), _answer(again)
        if first != second:
            self.broken.append(
                f"{handler.title} gives two answers to {delivery.cause}: {first[:200]} and "
                f"{second[:200]}; a def handler is a function of what it is given, because it "
                "may run again: take times and ids from its delivery, and remember in a state"
            )

    # steps

    def took_in(
        self, process: str, delivered: Delivered, subject: bytes, following: list[Following]
    ) -> None:
        """A handler of a state succeeded, for the next step on this subject."""
        handler, origin = delivered.durable.handler, delivered.origin
        taken = self._open.setdefault((process, subject), Taken())
        taken.inputs.append((handler.title, f"{origin.stream}:{origin.token}"))
        taken.following += following

    def published(self, process: str, frame: Frame) -> None:
        """A step goes to the server."""
        self.steps[frame] = self._open.pop((process, frame[0]), Taken())


def _answer(ask: Callable[[], Any]) -> str:
    try:
        return _text(ask())
    except Exception as error:  # noqa: BLE001 - that is another answer, too
        return repr(error)


def _text(result: Any) -> str:
    return msgspec.json.encode(result, enc_hook=repr).decode()
