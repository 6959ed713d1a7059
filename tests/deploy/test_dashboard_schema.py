"""The dashboard is one by Grafana's own schema, of which its foundation SDK is generated.

The SDK reads without checking, so its types are compared here: what it does not know is lost when
it writes the dashboard again, and what it knows has the type that it says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from enum import Enum
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.deploy.conftest import Render

REQUIRED = {"schemaVersion", "templating", "annotations"}
"""By the JSON schema of the SDK; its Python types have defaults for them."""


@pytest.fixture
def board(render: Render) -> dict[str, Any]:
    text = render("monitoring.dashboard=true").one("ConfigMap", "shop-grafana")["data"]["shop.json"]
    found: dict[str, Any] = json.loads(text)
    return found


def faults(board: dict[str, Any]) -> list[str]:
    """What Grafana's schema says against a dashboard."""
    register_default_plugins()
    read = Dashboard.from_json(board)
    written = json.loads(JSONEncoder().encode(read))
    missing = [f"{name} is missing" for name in sorted(REQUIRED - set(board))]
    return [*missing, *_lost(board, written, "dashboard"), *_mistyped(read, Dashboard, "dashboard")]


def _lost(given: Any, kept: Any, path: str) -> Iterator[str]:
    if isinstance(given, dict) and isinstance(kept, dict):
        for name, value in given.items():
            if name in kept:
                yield from _lost(value, kept[name], f"{path}.{name}")
            else:
                yield f"{path}.{name} is unknown"
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for index, (one, other) in enumerate(zip(given, kept, strict=True)):
            yield from _lost(one, other, f"{path}[{index}]")
    elif given != kept:
        yield f"{path} is read as {kept!r}"


def _mistyped(value: Any, wanted: Any, path: str) -> list[str]:
    origin, inner = get_origin(wanted), get_args(wanted)
    if origin in (Union, UnionType):
        found = [_mistyped(value, each, path) for each in inner]
        return (
            [] if [] in found else max(found, key=lambda each: each[0].partition(" ")[0].count("."))
        )
    is_enum = isinstance(wanted, type) and issubclass(wanted, Enum)
    if origin is Literal or is_enum:  # the SDK leaves the value of an enum as it is
        known = [each.value for each in wanted] if is_enum else inner
        return [] if value in known else [f"{path} is {value!r}, not one of {known}"]
    if not isinstance(value, origin or (float | int if wanted is float else wanted)):
        return [f"{path} is {value!r}, not {wanted}"]
    return [fault for each in _parts(value, inner, path) for fault in _mistyped(*each)]


def _parts(value: Any, inner: tuple[Any, ...], path: str) -> Iterator[tuple[Any, Any, str]]:
    """What is in a value of the SDK, each with its type and its path."""
    if isinstance(value, list):
        yield from ((each, inner[0], f"{path}[{n}]") for n, each in enumerate(value) if inner)
    elif isinstance(value, dict):
        yield from ((each, inner[1], f"{path}.{name}") for name, each in value.items() if inner)
    elif type(value).__module__.startswith("grafana_foundation_sdk.models"):
        for name, of in get_type_hints(type(value)).items():
            yield getattr(value, name), of, f"{path}.{name}"


def test_the_dashboard_keeps_grafanas_schema(board: dict[str, Any]) -> None:
    assert faults(board) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda board: board.pop("annotations"), "annotations is missing"),
        (lambda board: board["panels"][0].update(tiitle="x"), "panels[0].tiitle is unknown"),
        (lambda board: board["panels"][0]["gridPos"].update(w="12"), "panels[0].grid_pos"),
        (lambda board: board["panels"][0].update(title=7), "panels[0].title is 7"),
        (lambda board: board["panels"][0]["targets"][0].update(exprr=""), "exprr is unknown"),
        (lambda board: board["panels"][0]["targets"][0].update(expr=1), "expr is 1"),
        (lambda board: board["templating"]["list"][1].update(type="choice"), "choice"),
    ],
)
def test_what_grafana_does_not_know_is_found(
    board: dict[str, Any], change: Any, fault: str
) -> None:
    changed = deepcopy(board)
    change(changed)
    assert any(fault in each for each in faults(changed)), faults(changed)
