"""The chart, and a real helm to render it; what it renders is read once per set of values."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml

from jetmesh.operate.project import Whole, find_project
from tests.programs import program

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "k8s" / "chart"
README = (CHART / "README.md").read_text()

# a cluster takes a quarter of an hour: `make test-cluster` sets it, `make test` does not
collect_ignore = [] if os.environ.get("JETMESH_TEST_CLUSTER") else ["cluster"]

Object: TypeAlias = dict[str, Any]
Helm: TypeAlias = Callable[..., subprocess.CompletedProcess[str]]
Render: TypeAlias = "Callable[..., Rendered]"

PRODUCTION = (
    "sandbox.enabled=false",
    "services.payments.settings.gateway_url=https://gateway.example.test",
    "services.notifications.settings.smtp_host=mail.example.test",
    "services.notifications.settings.smtp_port=587",
)
"""What production has to set at least."""
SEED = "--set=nats.passwords.seed=a-seed-that-is-known-to-tests"
"""Without a cluster helm cannot see the passwords that it made before, and refuses to make more."""


def documents(text: str) -> list[Object]:
    """What a rendering holds; libyaml reads it ten times as fast."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [found for found in yaml.load_all(text, loader) if found]


class Rendered:
    """The objects of one rendering."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.objects: list[Object] = documents(text)

    def kind(self, kind: str) -> dict[str, Object]:
        """Every object of a kind by its name."""
        return {o["metadata"]["name"]: o for o in self.objects if o["kind"] == kind}

    def one(self, kind: str, name: str) -> Object:
        return self.kind(kind)[name]

    def workloads(self) -> Iterator[tuple[str, Object]]:
        """Everything that becomes pods: its name and the template of its pods."""
        for found in self.objects:
            name = f"{found['kind']}/{found['metadata']['name']}"
            if found["kind"] == "Pod":
                yield name, found
            elif found["kind"] in ("Deployment", "StatefulSet", "Job"):
                yield name, found["spec"]["template"]


@pytest.fixture(scope="session")
def chart() -> Path:
    return CHART


@pytest.fixture(scope="session")
def whole() -> Whole:
    """The shop as it is declared."""
    return find_project(start=ROOT).load()


@pytest.fixture(scope="session")
def helm() -> Helm:
    """Run helm and capture what it says."""
    found = program("helm")

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [found, *arguments], capture_output=True, text=True, check=False, timeout=60
        )

    return run


@pytest.fixture(scope="session")
def render(helm: Helm) -> Render:
    """The chart with values set as `--set` does, on a cluster that has the given APIs."""

    @cache
    def rendered(*sets: str, apis: tuple[str, ...] = ()) -> Rendered:
        options = [f"--set={each}" for each in sets] + [f"--api-versions={each}" for each in apis]
        done = helm("template", "shop", CHART, "--namespace", "shop", SEED, *options)
        assert done.returncode == 0, done.stderr
        return Rendered(done.stdout)

    return rendered
