"""What hatchling calls while it builds a wheel: it gets a list of what it depends on (PEP 770)."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_name = re.compile(r"[A-Za-z0-9._-]+")


class Sbom(BuildHookInterface):  # type: ignore[type-arg]  # it needs nothing of its own configuration
    """A CycloneDX list of the declared dependencies; which versions, whoever installs decides."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write it where the wheel takes it from, unless nothing is to be given away."""
        self._folder = Path(tempfile.mkdtemp(prefix="sbom-"))
        if version != "editable":
            file = self._folder / f"{self.metadata.core.name}.cdx.json"
            file.write_text(json.dumps(self._sbom(), indent=1) + "\n", encoding="utf-8")
            build_data["sbom_files"].append(str(file))

    def finalize(self, *_: Any) -> None:
        """It is in the wheel."""
        shutil.rmtree(self._folder)

    def _sbom(self) -> dict[str, Any]:
        core = self.metadata.core
        own = _library(core.name, "required") | {"version": self.metadata.version}
        own["licenses"] = [{"expression": core.license_expression}]
        needed = dict.fromkeys(core.dependencies, "required")
        for extra in core.optional_dependencies.values():
            needed |= {each: "optional" for each in extra if each not in needed}
        found = [_library(each, scope) for each, scope in sorted(needed.items())]
        found = [each for each in found if each["name"] != core.name]  # an extra within another
        refs = [each["bom-ref"] for each in found]
        return {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": {"component": own},
            "components": found,
            "dependencies": [{"ref": own["bom-ref"], "dependsOn": refs}],
        }


def _library(requirement: str, scope: str) -> dict[str, Any]:
    match = _name.match(requirement)
    assert match is not None  # noqa: S101 - hatchling has read it
    name = re.sub(r"[-_.]+", "-", match[0]).lower()
    purl = f"pkg:pypi/{name}"
    found = {"type": "library", "bom-ref": purl, "name": name, "purl": purl, "scope": scope}
    if requirement != name:
        found["description"] = requirement
    return found
