"""What `jetmesh deploy init` writes for the project around it: image, chart and overlays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jetmesh.operate.deploy.filled import filled
from jetmesh.operate.deploy.overlays import overlays
from jetmesh.operate.deploy.sources import image_parts
from jetmesh.operate.generated import read
from jetmesh.operate.helm import files as chart_files
from jetmesh.operate.project import Project, Whole


@dataclass(frozen=True, slots=True)
class Deployment:
    """The files below one directory, by whose they are."""

    declared: Mapping[Path, str]
    """Taken from the declarations: written whenever these change."""
    templates: Mapping[Path, str]
    """The mesh's: what a person changed in them is not written over unasked."""
    begun: Mapping[Path, str]
    """The project's own, once they are there."""

    def changed(self) -> list[Path]:
        """The templates that are there and differ from what would be written."""
        return [path for path, text in self.templates.items() if read(path) not in (None, text)]

    def to_write(self) -> dict[Path, str]:
        """Everything but what is the project's own already."""
        missing = {path: text for path, text in self.begun.items() if read(path) is None}
        return {**self.templates, **self.declared, **missing}


def deployment(project: Project, whole: Whole, directory: Path) -> Deployment:
    """The files for a project, below its deploy/ or wherever it has them.

    Raises:
        UsageError: the system's name, [tool.jetmesh.image] or a file there cannot be used.
    """
    system, topology = whole.system, whole.topology
    kubernetes = directory / "k8s"
    chart = kubernetes / "chart"
    begun = filled("begun", system)
    declared = chart_files.contents(system, topology, chart, begun["README.md"])
    image = filled("image", system, reference=project.reference, **image_parts(project.root))
    values = overlays(system, topology)
    return Deployment(
        declared=declared,
        templates={
            **{chart / path: text for path, text in filled("chart", system).items()},
            **{directory / "image" / path: text for path, text in image.items()},
        },
        begun={
            chart / "Chart.yaml": begun["Chart.yaml"],
            **{kubernetes / "overlays" / n / "values.yaml": text for n, text in values.items()},
        },
    )
