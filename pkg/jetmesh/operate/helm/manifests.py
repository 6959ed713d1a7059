"""The chart rendered for `kubectl apply -k`: what all overlays have alike is the base.

No patches: an object is either the same everywhere, or whole in the overlay that it belongs to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from jetmesh.operate.helm.program import template
from jetmesh.operate.helm.text import dump

NOTE: Final = "# Written by `make manifests` from the chart: change that, not this.\n"
_OBJECTS: Final = "objects.yaml"
_KUSTOMIZATION: Final = "kustomization.yaml"


def write(program: Path, directory: Path) -> list[Path]:
    """Render every overlays/<name>/values.yaml and return the files written.

    Raises:
        JetmeshError: helm refuses the chart or the values.
        OSError: the directory cannot be written.
    """
    current = _contents(program, directory)
    for path, text in current.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    return list(current)


def stale(program: Path, directory: Path) -> list[Path]:
    """The files that `write` would change."""
    current = _contents(program, directory)
    return [path for path, text in current.items() if not path.is_file() or _text(path) != text]


def documents(rendered: str) -> list[dict[str, Any]]:
    """The objects of a rendered chart, without those that are only for `helm test`."""
    found = [document for document in yaml.safe_load_all(rendered) if document]
    return [d for d in found if "helm.sh/hook" not in (d["metadata"].get("annotations") or {})]


def _contents(program: Path, directory: Path) -> dict[Path, str]:
    overlays = {
        values.parent: documents(
            template(program, directory / "chart", values, release=_release(directory))
        )
        for values in sorted(directory.glob("overlays/*/values.yaml"))
    }
    first, *others = overlays.values()
    alike = [document for document in first if all(document in other for other in others)]
    base = directory / "base"
    contents = {base / _KUSTOMIZATION: _kustomization([_OBJECTS]), base / _OBJECTS: _dump(alike)}
    for overlay, found in overlays.items():
        own = [document for document in found if document not in alike]
        contents[overlay / _KUSTOMIZATION] = _kustomization(["../../base", _OBJECTS])
        contents[overlay / _OBJECTS] = _dump(own)
    return contents


def _release(directory: Path) -> str:
    return str(yaml.safe_load(_text(directory / "chart" / "Chart.yaml"))["name"])


def _kustomization(resources: list[str]) -> str:
    kind = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    return NOTE + dump({**kind, "resources": resources})


def _dump(found: list[dict[str, Any]]) -> str:
    return NOTE + "---\n".join(map(dump, found))


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
