"""What one mistypes where services are declared is told at once, with its line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from jetmesh import Service, System, event
from jetmesh.errors import DeclarationError
from jetmesh.operate.project import find_project


@event("mistakes.made", key="id")
class Made(Struct, frozen=True):
    id: str


def handle(made: Made) -> None: ...


def test_a_handler_that_names_no_event_is_not_passed_over() -> None:
    wrong: Any = Service("mistaken").on
    with pytest.raises(DeclarationError, match=r"test_mistakes\.py:\d+: handle is no") as told:
        wrong(handle)
    assert "@service.on(Event)" in told.value.remedy


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"start": "New"}, "handle has start='New'"),
        ({"policy": {"attempts": 3}}, "its policy is a dict; write policy=Policy"),
        ({"by": "id"}, "handle has by='id' and remembers nothing"),
    ],
)
def test_what_a_handler_cannot_mean_is_refused(said: dict[str, Any], told: str) -> None:
    declare: Any = Service("mistaken").on
    with pytest.raises(DeclarationError, match=told):
        declare(Made, **said)(handle)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    monkeypatch.syspath_prepend(str(tmp_path))

    def written(text: str) -> Path:
        (tmp_path / "mistaken.py").write_text(text)
        return tmp_path / "mistaken.py"

    yield written
    sys.modules.pop("mistaken", None)


WRONG = [
    ("x = 1\nx = = 2\n", r":2: 'mistaken' cannot be imported: SyntaxError: invalid syntax"),
    (
        "from jetmesh import Service\n\nservice = Service('a', versoin='1')\n",
        r":3: 'mistaken' cannot be imported: TypeError: .*unexpected keyword argument 'versoin'",
    ),
    ("import json\n\njson.loads('')\n", r"decoder\.py:\d+: 'mistaken' cannot be imported"),
    ("1 / 0\n", r":1: 'mistaken' cannot be imported: ZeroDivisionError: division by zero\."),
]


@pytest.mark.parametrize(("text", "told"), WRONG)
def test_what_a_module_raises_is_told_with_its_line(
    module: Callable[[str], Path], text: str, told: str
) -> None:
    module(text)
    with pytest.raises(DeclarationError, match=told):
        System("mistakes", services=("mistaken",)).load()


def test_so_is_what_the_list_of_services_raises(module: Callable[[str], Path]) -> None:
    file = module("from jetmesh import System\n\nsystem = System('a', service=())\n")
    with pytest.raises(DeclarationError, match="unexpected keyword argument 'service'") as told:
        find_project("mistaken:system").system()
    assert str(told.value).startswith(f"{file}:3: ")
