"""What a type checker makes of declarations: functions stay what they are, mistakes are seen."""

from __future__ import annotations

import re
from pathlib import Path

import mypy.api
import pytest

ROOT = Path(__file__).parents[3]
DECLARATIONS = """
from collections.abc import AsyncIterator, Iterable, Sequence

from msgspec import Struct

from jetmesh import AsyncCall, Call, Delivery, Policy, Record, Service, Stored, event


@event("orders.placed", key="id")
class Placed(Struct, frozen=True):
    id: str


@event("orders.accepted", key="id", decision="orders.*", race=True)
class Accepted(Struct, frozen=True):
    id: str


class Gateway: ...


class Board:
    def apply(self, event: Placed, record: Record) -> None: ...


def timed(call: Call, event: Struct, delivery: Delivery) -> object:
    return call()


async def atimed(call: AsyncCall, event: Struct, delivery: Delivery) -> object:
    reveal_type(delivery.handler)
    reveal_type(delivery.attempt)
    reveal_type(delivery.stored_at)
    reveal_type(delivery.log.info("seen"))
    return await call()


async def counted(call: AsyncCall, event: Struct) -> Stored:
    stored: Stored = await call()
    return stored


service = Service("orders", wrap=[timed, atimed])
service.publishes(Placed, wrap=[counted])
service.read_model(Board, events=[Placed])


@service.on(Placed)
def decide(order: Placed) -> Accepted | None: ...


@service.on(Placed, policy=Policy(attempts=2), start="new", cycle=True, name="also")
async def charge(
    order: Placed, gateway: Gateway, *, delivery: Delivery | None = None
) -> list[Accepted]:
    return []


@service.on(Placed)
def several(order: Placed, board: Board) -> Iterable[Accepted]:
    yield Accepted(order.id)


@service.lost(charge)
async def lose(mine: Accepted | None, stored: Accepted, gateway: Gateway) -> None: ...


@service.resource
async def gateway(board: Board) -> AsyncIterator[Gateway]:
    yield Gateway()


@service.web
def pages(board: Board) -> list[str]:
    return []


reveal_type(Placed)
reveal_type(decide)
reveal_type(charge)
reveal_type(several)
reveal_type(lose)
reveal_type(gateway)
reveal_type(pages)


@service.on(Placed)  # E: another event
def wrong_event(order: Accepted) -> None: ...


@service.on(Placed)  # E: no event
async def nothing() -> None: ...


@service.on(Gateway)  # E: no Struct
def no_struct(gateway: Gateway) -> None: ...


@service.on(Placed, start="old")  # E: no such start
def no_start(order: Placed) -> None: ...


def no_wrap(call: Call) -> object:
    return call()


Service("other", wrap=[no_wrap])  # E: it takes no event


@service.resource  # E: nothing to open and close
async def plain() -> Gateway:
    return Gateway()


@service.web  # E: nothing to iterate over
def no_routes() -> int:
    return 1
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Every line that mypy says of the declarations above; it takes seconds."""
    folder = tmp_path_factory.mktemp("types")
    (folder / "declarations.py").write_text(DECLARATIONS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MYPYPATH", str(ROOT / "pkg"))
        patch.chdir(folder)
        options = ["--strict", "--config-file=", "--cache-dir=cache", "--no-error-summary"]
        out, err, _ = mypy.api.run([*options, "--disable-error-code=empty-body", "declarations.py"])
    assert not err
    return out.splitlines()


def test_declared_functions_and_classes_keep_their_types(said: list[str]) -> None:
    revealed = [re.sub(r"\b[a-z_]+\.(?=\w)", "", line) for line in said if "Revealed" in line]
    assert [line.partition('type is "')[2].rstrip('"') for line in revealed] == [
        "str",
        "int",
        "datetime",
        "Any",
        "def (id: str) -> Placed",
        "def (Placed) -> Accepted | None",
        (
            "def (Placed, gateway: Gateway, *, delivery: Delivery | None =)"
            " -> Coroutine[Any, Any, list[Accepted]]"
        ),
        "def (Placed, board: Board) -> Iterable[Accepted]",
        (
            "def (mine: Accepted | None, stored: Accepted, gateway: Gateway)"
            " -> Coroutine[Any, Any, None]"
        ),
        "def (board: Board) -> AsyncIterator[Gateway]",
        "def (board: Board) -> list[str]",
    ]


def test_what_cannot_be_declared_is_an_error_and_nothing_else_is(said: list[str]) -> None:
    wrong = [n for n, line in enumerate(DECLARATIONS.splitlines(), 1) if "# E: " in line]
    found = [int(line.split(":")[1]) for line in said if ": error: " in line]
    assert sorted(set(found)) == wrong


def test_the_error_names_the_event_that_was_meant(said: list[str]) -> None:
    assert 'expected "Callable[[Placed], None]"' in "".join(said)
