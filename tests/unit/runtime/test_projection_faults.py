"""What a read model or a contract raises ends neither the connection nor the reading."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import Struct

from jetmesh import Record, event
from jetmesh.declare import spec_of
from jetmesh.runtime import projection
from jetmesh.runtime.projection import Projection
from jetmesh.runtime.slots import Taken
from jetmesh.testing import eventually


@event("folds-in.told", key="id")
class Told(Struct, frozen=True):
    id: str

    def __post_init__(self) -> None:
        if self.id == "unknown":
            raise KeyError(self.id)  # msgspec makes a violation of ValueError and TypeError alone
        if self.id == "interrupt":
            raise KeyboardInterrupt


STREAM: dict[str, Any] = {"created": "now", "state": {"last_seq": 0}}
ERRORS: list[type[BaseException]] = [
    ValueError,
    KeyboardInterrupt,
    SystemExit,
    GeneratorExit,
    asyncio.CancelledError,
]


class Server:
    """Its one slot has so much to deliver, each time it is taken; `delivered` of it went out."""

    def __init__(self, *pending: int) -> None:
        self.pending = list(pending)
        self.taken = 0
        self.delivered = 0
        self.left = 0

    async def take(self, _: int) -> Taken:
        self.taken += 1
        return Taken("s", self.pending.pop(0) if self.pending else 0)

    async def look(self, _: str) -> dict[str, Any]:
        return {"delivered": {"consumer_seq": self.delivered}, "num_pending": self.left}


def reading(
    apply: Callable[[Any, Record], None], control: Any = None, server: Any = None
) -> Projection:
    spec = spec_of(Told)
    assert spec is not None
    plane: Any = SimpleNamespace(inflow=lambda *_, **__: _pull(), drop=lambda _: None, turns=None)
    slots: Any = server or Server()
    return Projection("FOLDS_IN", [spec], apply, slots=slots, plane=plane, control=control)


class Control:
    """Says the same of a stream until that is taken away."""

    def __init__(self, answers: list[dict[str, Any]]) -> None:
        self.answers = answers

    async def api(self, _: str) -> dict[str, Any]:
        return self.answers[0]


def _pull() -> Any:
    return SimpleNamespace(start=lambda: None, settled=lambda: None, problem="")


def arrive(model: Projection, number: int, payload: bytes, pending: int = 0) -> None:
    reply = f"$JS.ACK.FOLDS_IN.c.1.{number}.{number}.1700000000000000000.{pending}".encode()
    model._fold(b"folds-in.told.a", reply, b"", payload)


@pytest.mark.parametrize("error", ERRORS)
def test_whatever_a_read_model_raises_the_next_event_is_folded(
    error: type[BaseException],
) -> None:
    seen: list[str] = []

    def apply(told: Any, _: Record) -> None:
        if told.id == "bad":
            raise error
        seen.append(told.id)

    model = reading(apply)
    for number, key in enumerate(("a", "bad", "b"), 1):
        arrive(model, number, b'{"id":"%b"}' % key.encode())
    assert seen == ["a", "b"]
    assert (model.folded, model.skipped, model.problem) == (2, 1, "")


@pytest.mark.parametrize("key", [b"unknown", b"interrupt"])
def test_whatever_the_check_of_a_contract_raises_the_next_event_is_folded(key: bytes) -> None:
    model = reading(lambda *_: None)
    for number, each in enumerate((key, b"fine"), 1):
        arrive(model, number, b'{"id":"%b"}' % each)
    assert (model.folded, model.skipped, model.problem) == (1, 1, "")


async def test_an_answer_that_cannot_be_read_is_told_until_it_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(projection, "_RETRY_SECONDS", 0.001)
    answers: list[dict[str, Any]] = [{}, STREAM]
    model = reading(lambda *_: None, Control(answers))
    model.start()
    await eventually(lambda: "KeyError" in model.problem)
    answers.pop(0)
    await eventually(lambda: not model.problem)
    model.stop()


async def test_a_history_whose_rest_was_removed_before_it_was_read_is_read_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(projection, "_LOOK_SECONDS", 0.01)
    server = Server(5)
    server.left = 5
    model = reading(lambda *_: None, Control([STREAM]), server)
    model.start()
    await eventually(lambda: "reading the history" in model.problem)
    server.left = 0
    await eventually(lambda: not model.problem)
    assert server.taken == 1
    model.stop()


async def test_what_was_delivered_and_never_came_is_asked_for_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To somebody else who pulls from the same slot: nothing would tell, before the next event."""
    monkeypatch.setattr(projection, "_LOOK_SECONDS", 0.01)
    server = Server()
    model = reading(lambda *_: None, Control([STREAM]), server)
    model.start()
    await eventually(lambda: model._pull)
    server.delivered = 3
    for number in (1, 2, 3):
        arrive(model, number, b'{"id":"a"}')
    looks = model._looking
    await asyncio.sleep(0.05)
    assert (model._looking, server.taken) == (looks, 1), "all of it came"
    server.delivered = 4
    await eventually(lambda: server.taken >= 2)
    model.stop()


async def test_a_read_model_that_may_not_ask_any_more_says_so_until_it_may() -> None:
    model = reading(lambda *_: None, Control([STREAM]))
    model.start()
    await eventually(lambda: model.caught_up)
    pull: Any = model._pull
    pull.problem = "the broker's user lacks a permission"
    assert model.problem.endswith("cannot be read: the broker's user lacks a permission")
    pull.problem = ""
    assert model.problem == ""
    model.stop()
