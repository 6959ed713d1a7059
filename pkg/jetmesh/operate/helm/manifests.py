"""The chart rendered for `kubectl apply -k`: what all overlays have alike is the base.

No patches: an object is either the same everywhere, or whole in the overlay that it belongs to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from jetmesh.operate.helm.program import template
from jetmesh.operate.helm.text import dump

NOTE: Final = "# Written by `jetmesh deploy manifests` from the chart: change that, not this.\n"
_OBJECTS: Final = "objects.yaml"
_KUSTOMIZATION: Final = "kustomization.yaml"


def contents(program: Path, directory: Path) -> dict[Path, str]:
    """The rendering of every overlays/<name>/values.yaml below `directory`.

    Raises:
        JetmeshError: helm refuses the chart or the values.
    """
    chart = directory / "chart"
    release = str(yaml.safe_load((chart / "Chart.yaml").read_text(encoding="utf-8"))["name"])
    overlays = {
        values.parent: documents(template(program, chart, values, release=release))
        for values in sorted(directory.glob("overlays/*/values.yaml"))
    }
    first, *others = overlays.values()
    alike = [document for document in first if all(document in other for other in others)]
    base = directory / "base"
    files = {base / _KUSTOMIZATION: _kustomization([_OBJECTS]), base / _OBJECTS: _dump(alike)}
    for overlay, found in overlays.items():
        own = [document for document in found if document not in alike]
        files[overlay / _KUSTOMIZATION] = _kustomization(["../../base", _OBJECTS])
        files[overlay / _OBJECTS] = _dump(own)
    return files


def documents(rendered: str) -> list[dict[str, Any]]:
    """The objects of a rendered chart, without those that are only for `helm test`."""
    found = [document for document in yaml.safe_load_all(rendered) if document]
    return [d for d in found if "helm.sh/hook" not in (d["metadata"].get("annotations") or {})]


def _kustomization(resources: list[str]) -> str:
    kind = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    return NOTE + dump({**kind, "resources": resources})


def _dump(found: list[dict[str, Any]]) -> str:
    return NOTE + "---\n".join(map(dump, found))
