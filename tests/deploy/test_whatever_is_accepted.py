"""Whatever helm accepts, runs: what the schema takes renders and is read, or is a sentence."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # it has no types
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from jetmesh.declare.check import check
from jetmesh.operate.helm.declared import chart_values
from jetmesh.operate.project import Whole, find_project
from jetmesh.settings import load_settings
from tests.deploy.conftest import ROOT, SEED, Helm, Rendered
from tests.deploy.test_objects import CUSTOM
from tests.examples import TIMES, examples

WHOLE = find_project(start=ROOT).load()
TREE = chart_values(WHOLE.system, WHOLE.topology)
KUBERNETES_OWN = ("tolerations", "affinity", "dns")
"""Passed on as they are: Kubernetes has their schema."""
EXCEPTIONS = st.lists(st.sampled_from(["ValueError", "builtins.KeyError"]), max_size=2)
WANTED = 12
"""Values that differ from their defaults, at most: of too many two always contradict."""


def of_schema(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """What a schema of the chart takes."""
    if "anyOf" in schema:
        return st.one_of([of_schema(each) for each in schema["anyOf"]])
    if "const" in schema or "enum" in schema:
        return st.sampled_from(schema.get("enum") or [schema["const"]])
    kind = schema["type"]
    return _OF_TYPE["decimal" if isinstance(kind, list) else kind](schema)


def of_map(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    for pattern, values in schema.get("patternProperties", {}).items():
        return st.dictionaries(of_pattern(pattern, 63), of_schema(values), max_size=2)
    return st.just({})


def of_text(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "pattern" in schema:
        return of_pattern(schema["pattern"], schema.get("maxLength", 200))
    return st.text(st.characters(codec="ascii"), max_size=20)


_OF_TYPE: dict[str, Callable[[dict[str, Any]], st.SearchStrategy[Any]]] = {
    "boolean": lambda _: st.booleans(),
    "integer": lambda s: st.integers(s.get("minimum", 0), s.get("maximum", 2**31)),
    "number": lambda _: st.integers(1, 64),
    "decimal": lambda _: st.decimals(0, 10**9, places=2).map(str),
    "array": lambda s: st.lists(of_schema(s["items"]), max_size=2),
    "object": of_map,
    "string": of_text,
}


def of_pattern(pattern: str, longest: int) -> st.SearchStrategy[str]:
    alphabet = st.characters(codec="ascii", exclude_categories=["Cc"])
    whole = re.sub(r"\$(?=$|[|)])", r"\\Z", pattern)  # Python's $ takes a line's end, too
    found = st.from_regex(whole, alphabet=alphabet)
    return found.filter(lambda text: len(text) <= longest)


def free(path: tuple[str, ...]) -> bool:
    return not set(path) & set(KUBERNETES_OWN) and path[-1] != "customer_dashboard_url"


LEAVES = {path: value for path, value in TREE.leaves() if free(path)}


@st.composite
def changed(draw: st.DrawFn) -> dict[str, Any]:
    """Some values beside their defaults."""
    paths = draw(st.lists(st.sampled_from(sorted(LEAVES)), max_size=WANTED, unique=True))
    values: dict[str, Any] = {}
    for path in paths:
        at = values
        for name in path[:-1]:
            at = at.setdefault(name, {})
        known = path[-1] == "rejects"  # whether they exist the Job says, before anything changes
        at[path[-1]] = draw(EXCEPTIONS if known else of_schema(LEAVES[path].schema))
    return values


@settings(
    max_examples=examples(25),
    deadline=None,
    derandomize=TIMES == 1,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(values=changed())
def test_what_helm_accepts_is_right_for_kubernetes_and_for_the_pods(
    helm: Helm, chart: Path, values: dict[str, Any]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "values.json"
        file.write_text(json.dumps(values))
        done = helm("template", "shop", chart, SEED, "--namespace", "shop", "--values", file)
        if done.returncode:
            [sentence] = re.findall(r"^Error: execution error at \(shop/\S+\): (.*)", done.stderr)
            assert sentence.endswith("."), done.stderr
            assert "additional properties" not in done.stderr
            return
        rendered = Rendered(done.stdout)
        for found in rendered.objects:
            valid(json.dumps(found))
        for name, found in rendered.kind("ConfigMap").items():
            text = found["data"].get("jetmesh.toml")
            services = [s for s in WHOLE.services if s.name == name] or WHOLE.services
            if text is not None:
                read(Path(folder), text, services, WHOLE, whole=services is WHOLE.services)


@cache
def valid(found: str) -> None:
    """Most objects are the same in many renderings."""
    if (thing := json.loads(found))["kind"] not in {*CUSTOM, "Certificate"}:
        kubernetes_validate.validate(thing, "1.37", strict=True)


def read(folder: Path, text: str, services: Any, mesh: Whole, *, whole: bool) -> None:
    """As a pod does when it starts."""
    file = folder / "jetmesh.toml"
    file.write_text(text)
    loaded = load_settings(services, file=file, environ={}, whole=whole)
    loaded.policies(services)
    if whole:
        check(mesh.topology, loaded.stream_tunings())
