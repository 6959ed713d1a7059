"""What a stream stores that nobody declares, and what was meant."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Struct

from jetmesh import Record, Service, event
from jetmesh.declare import derive
from jetmesh.operate.undeclared import Declared, Undeclared, grouped
from jetmesh.operate.up.subjects import sentence


@event("stray.created", key="id")
class Created(Struct, frozen=True):
    id: str


@event("stray.counted")
class Counted(Struct, frozen=True):
    number: int


class Board:
    def apply(self, event: Struct, record: Record) -> None: ...


desk = Service("desk")


@desk.on(Created)
def count(created: Created) -> Counted | None: ...


board = Service("board")
board.read_model(Board, events=[Created])
DECLARED = Declared.by(derive([desk, board]))


def test_the_streams_of_the_mesh_itself_are_not_compared() -> None:
    assert DECLARED.streams == {"STRAY": "stray"}
    assert DECLARED.listeners == {"STRAY": ["board", "desk"]}


def test_how_far_ordered_handlers_are_with_a_key_is_not_compared() -> None:
    @event("kept.sorted", key="id")
    class Sorted(Struct, frozen=True):
        id: str

    desk = Service("sorting")

    def sort(created: Created) -> Any: ...

    def keep(kept: Any) -> None: ...

    sort.__annotations__["return"] = keep.__annotations__["kept"] = Sorted
    desk.on(Created)(sort)
    desk.on(Sorted, ordered=True)(keep)
    topology = derive([desk])
    assert "CURSORS_sorting" in {stream.name for stream in topology.streams}
    assert Declared.by(topology).streams == {"STRAY": "stray", "KEPT": "kept"}


@pytest.mark.parametrize("subject", ["stray.created", "stray.created.p-1", "stray.counted"])
def test_what_is_declared_is_none(subject: str) -> None:
    assert grouped(DECLARED, "STRAY", {subject: 1}) == []


@pytest.mark.parametrize(
    ("subject", "shape", "nearest"),
    [
        ("stray.creatd", "stray.creatd", "stray.created"),
        ("stray.creatd.p-1", "stray.creatd.*", "stray.created"),
        ("stray.counted.p-1", "stray.counted.*", "stray.counted"),
        ("stray.created.p.1", "stray.created.p.*", "stray.created"),
        ("stray.zzz", "stray.zzz", ""),
    ],
)
def test_a_misspelt_subject_is_found_with_what_was_meant(
    subject: str, shape: str, nearest: str
) -> None:
    assert grouped(DECLARED, "STRAY", {subject: 2}) == [Undeclared("STRAY", shape, 2, nearest)]


def test_one_misspelling_with_many_keys_is_one() -> None:
    subjects = {f"stray.creatd.p-{number}": 1 for number in range(1000)}
    (found,) = grouped(DECLARED, "STRAY", subjects)
    assert (found.subject, found.messages) == ("stray.creatd.*", 1000)


def test_the_line_says_what_was_meant_and_who_does_not_see_it() -> None:
    found = Undeclared("STRAY", "stray.creatd", 2, "stray.created")
    assert sentence(found, ["board", "desk"]) == (
        "warning: 2 messages on stray.creatd in STRAY, which no service declares; stray.created "
        "was probably meant; board and desk will not see it (jetmesh doctor)"
    )
