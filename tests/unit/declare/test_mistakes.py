"""What one mistypes where services are declared is told at once, with its line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec import Struct

from jetmesh import Policy, Service, System, event
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
        ({"policy": Policy(rejects=cast("Any", "ValueError"))}, r"write rejects=\('ValueError',\)"),
        ({"reads": "id"}, r"handle has reads='id', .* Write reads=\('id',\)"),
        ({"by": "id"}, "handle has by='id' and remembers nothing"),
    ],
)
def test_what_a_handler_cannot_mean_is_refused(said: dict[str, Any], told: str) -> None:
    declare: Any = Service("mistaken").on
    with pytest.raises(DeclarationError, match=told):
        declare(Made, **said)(handle)


class Totals:
    def apply(self, event: Made, record: object) -> None: ...


def around(call: Callable[[], Any], *_: object) -> Any:
    return call()


ONE: list[tuple[Callable[[], object], str]] = [
    (lambda: System("shop", cast("Any", "shop.one")), r"services='shop.one', .*\('shop.one',\)"),
    (lambda: System("shop", (), sandboxes=cast("Any", object())), "sandboxes=<object"),
    (lambda: Service("mistaken", wrap=cast("Any", around)), r"Write wrap=\(around,\)"),
    (
        lambda: Service("mistaken").read_model(Totals, events=cast("Any", Made)),
        r"model Totals has events=Made, .* Write events=\(Made,\)",
    ),
    (
        lambda: Service("mistaken").read_model(Totals, events=[Made], reads="id"),
        r"model Totals has reads='id', .* Write reads=\('id',\)",
    ),
    (
        lambda: Service("mistaken").publishes(Made, wrap=cast("Any", around)),
        r"Write wrap=\(around,\)",
    ),
]


@pytest.mark.parametrize(("declare", "told"), ONE)
def test_one_where_several_are_listed_is_told_with_its_line(
    declare: Callable[[], object], told: str
) -> None:
    with pytest.raises(DeclarationError, match=rf"test_mistakes\.py:\d+: .*{told}"):
        declare()


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
