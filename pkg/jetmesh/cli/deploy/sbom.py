"""What an image is made of, as CycloneDX has it: `python -m jetmesh.cli.deploy.sbom NAME`.

It runs where the image is built, in the image's own environment, and lists what is really there.
Two builds of the same are the same bytes: no time, no serial number. What the base brings beside
Python is in the base's own list.
"""

from __future__ import annotations

import json
import platform
import re
import sys
from importlib.metadata import Distribution, distributions
from typing import Any

from jetmesh import __version__


def sbom(name: str) -> dict[str, Any]:
    """The bill of materials of the environment that runs this, for the image `name`."""
    found: dict[str, dict[str, Any]] = {}
    for each in distributions():  # the first one on the path is imported
        found.setdefault(_normal(each.name), _component(each))
    # an image that copies the sources has no distribution of them
    found.setdefault("jetmesh", _library("jetmesh", __version__))
    python = {"type": "platform", "name": "cpython", "version": platform.python_version()}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": name}},
        "components": [python, *(found[each] for each in sorted(found))],
    }


def _component(found: Distribution) -> dict[str, Any]:
    component = _library(_normal(found.name), found.version)
    if licences := found.metadata.get_all("License-Expression"):
        component["licenses"] = [{"expression": licences[0]}]
    return component


def _library(name: str, version: str) -> dict[str, Any]:
    purl = f"pkg:pypi/{name}@{version}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _normal(name: str) -> str:
    """Names are compared so (PEP 503), and a purl has them so."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    json.dump(sbom(sys.argv[1]), sys.stdout, indent=1)
