"""The committed manifests: the chart rendered, nothing lost, taken by kubectl."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from jetmesh.errors import UsageError
from jetmesh.operate.generated import stale
from jetmesh.operate.helm.manifests import contents, documents
from jetmesh.operate.helm.program import helm_program
from tests.deploy.conftest import ROOT, Helm, Object
from tests.programs import program

K8S = ROOT / "deploy" / "k8s"
OVERLAYS = ("development", "production")


def key(found: Object) -> tuple[str, str]:
    return found["kind"], found["metadata"]["name"]


@pytest.mark.usefixtures("helm")
def test_the_manifests_are_up_to_date() -> None:
    assert stale(contents(helm_program(ROOT), K8S)) == [], "run make manifests"


@pytest.mark.parametrize("name", OVERLAYS)
def test_kubectl_builds_the_chart_s_very_objects(helm: Helm, chart: Path, name: str) -> None:
    overlay = K8S / "overlays" / name
    built = subprocess.run(
        [program("kubectl"), "kustomize", overlay], capture_output=True, text=True, check=True
    )
    rendered = helm("template", "shop", chart, "--values", overlay / "values.yaml")
    expected = documents(rendered.stdout)
    found = [document for document in yaml.safe_load_all(built.stdout) if document]
    assert sorted(found, key=key) == sorted(expected, key=key)


def test_nothing_is_in_two_overlays_and_the_same() -> None:
    own = [
        [d for d in yaml.safe_load_all((K8S / "overlays" / name / "objects.yaml").read_text()) if d]
        for name in OVERLAYS
    ]
    assert [key(document) for document in own[0] if document in own[1]] == []


@pytest.mark.parametrize("name", ["base", *(f"overlays/{name}" for name in OVERLAYS)])
def test_no_password_is_committed(name: str) -> None:
    found = [d for d in yaml.safe_load_all((K8S / name / "objects.yaml").read_text()) if d]
    assert "Secret" not in {each["kind"] for each in found}


def test_production_has_no_sandbox() -> None:
    texts = [(K8S / name / "objects.yaml").read_text() for name in ("base", "overlays/production")]
    assert not any("sandbox" in text for text in texts)


def test_rendering_without_helm_says_where_it_is_looked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="There is no helm"):
        helm_program(tmp_path)
