"""What a values file says arrives as it was said: numbers as digits, and null as a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml

from jetmesh.operate.helm.declared import chart_values
from jetmesh.operate.helm.tree import Group
from jetmesh.operate.project import find_project
from tests.deploy.conftest import ROOT, SEED, Helm, Rendered

WHOLE = find_project(start=ROOT).load()
TREE = chart_values(WHOLE.system, WHOLE.topology)
MILLION = 1_000_000


def groups(group: Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Group]]:
    """Every group of values with its path, the whole first."""
    yield path, group
    for name, node in group.values.items():
        if isinstance(node, Group):
            yield from groups(node, (*path, name))


def put(values: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    *way, last = path
    for name in way:
        values = values.setdefault(name, {})
    values[last] = value


def numbers() -> dict[tuple[str, ...], int]:
    """Every whole number that may be above a million, each with one of its own."""
    following = count(2 * MILLION)
    found = {
        path: next(following)
        for path, value in TREE.leaves()
        if value.schema.get("type") == "integer"
        and value.schema.get("maximum", 9 * MILLION) > 3 * MILLION
    }
    return {path: n - (path[-1] == "concurrency") * MILLION for path, n in found.items()}


@pytest.fixture
def rendered(helm: Helm, chart: Path, tmp_path: Path) -> Any:
    def render(values: dict[str, Any]) -> str:
        file = tmp_path / "values.yaml"
        file.write_text(yaml.safe_dump(values))
        done = helm("template", "shop", chart, SEED, "--values", file)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return render


def test_every_number_of_a_values_file_stays_a_number(rendered: Any) -> None:
    """helm reads them as float64, which a template prints as 1.048576e+06."""
    given = numbers()
    seen = ""
    for by, scaled in (("cpu", False), ("cpu", True), ("keda", True)):
        values: dict[str, Any] = {"monitoring": {"rules": True}, "scaling": {"by": by}}
        for path, number in given.items():
            put(values, path, number)
        for service in values["services"].values():
            service.setdefault("autoscaling", {})["enabled"] = scaled
        seen += rendered(values)
    outside = {"url": "nats://nats.example:4222"}
    seen += rendered({"canDeploy": {**values["canDeploy"], "enabled": True}, "nats": outside})
    assert re.findall(r".*\b\d(?:\.\d+)?e\+\d\d\b.*", seen) == []
    lost = [
        ".".join(path) for path, number in given.items() if not re.search(rf"\b{number}\b", seen)
    ]
    assert lost == []


def test_a_fraction_of_a_values_file_stays_as_it_is(rendered: Any) -> None:
    settings = {"ceiling": 12345678.25, "ceilings": {"JPY": 15000000}}
    text = rendered({"services": {"order-validation": {"settings": settings}}})
    assert "ceiling = 12345678.25\n" in text
    assert 'ceilings = { "JPY" = 15000000 }\n' in text


@pytest.mark.parametrize("path", [path for path, _ in groups(TREE)], ids=".".join)
def test_a_value_that_is_null_is_named(
    helm: Helm, chart: Path, tmp_path: Path, path: tuple[str, ...]
) -> None:
    """Every one of the group at `path` is null, so helm leaves it out."""
    names = list(dict(groups(TREE))[path].values)
    values: dict[str, Any] = {}
    for name in names:
        put(values, (*path, name), None)
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    seed = [] if path[:1] in ((), ("nats",)) else [SEED]
    refused = helm("template", "shop", chart, *seed, "--values", file)
    assert refused.returncode == 1
    if path in (("services",), ("streams",)):
        [sentence] = [line for line in refused.stderr.splitlines() if "no values;" in line]
        assert [name for name in names if f"{path[0]}.{name}" not in sentence] == []
        return
    [sentence] = [line for line in refused.stderr.splitlines() if line.startswith("- at ")]
    where = "".join(f"/{name}" for name in path)
    assert sentence.startswith(f"- at '{where}': missing propert")
    assert [name for name in names if f"'{name}'" not in sentence] == []


def test_a_nats_that_cannot_be_asked_takes_no_pods_away(rendered: Any) -> None:
    def fallback(least: int) -> Any:
        scaling = {"enabled": True, "minReplicas": least}
        values = {"scaling": {"by": "keda"}, "services": {"payments": {"autoscaling": scaling}}}
        return Rendered(rendered(values)).one("ScaledObject", "payments")["spec"]["fallback"]

    assert fallback(0)["behavior"] == "currentReplicasIfHigher"
    assert [fallback(least)["replicas"] for least in (0, 1, 3)] == [1, 1, 3]
