"""The distributions of this tree, built, and fresh environments that they are installed into."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECTS = {"jetmesh": ROOT, "shop": ROOT / "pkg/shop", "shop_contracts": ROOT / "contracts"}


def build(directory: Path, projects: Iterable[Path] = PROJECTS.values()) -> dict[str, bytes]:
    """Source distributions, and the wheels made from them."""
    command = [sys.executable, "-m", "build", "--no-isolation", "-o", str(directory)]
    for project in projects:
        subprocess.run([*command, str(project)], check=True, capture_output=True)
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


class Environment:
    """A fresh environment with one distribution in it, and what else is `wanted`."""

    def __init__(self, directory: Path, built: Path, *wanted: str) -> None:
        self.directory = directory
        self.bin = directory / "bin"
        uv = [sys.executable, "-m", "uv", "--quiet"]
        subprocess.run([*uv, "venv", "--python", sys.executable, str(directory)], check=True)
        pinned = ["--constraint", str(ROOT / "requirements/dev.txt")]
        found = ["--find-links", str(built), "--python", str(self.bin / "python"), *wanted]
        subprocess.run([*uv, "pip", "install", *pinned, *found], check=True)

    def run(self, *command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.bin / command[0]), *command[1:]],
            check=False,
            capture_output=True,
            text=True,
            cwd=cwd or self.directory,
            env=self.environ,
        )

    @property
    def environ(self) -> dict[str, str]:
        """Nothing of the caller's but where programs are."""
        return {"PATH": str(self.bin)}

    def imports(self, module: str) -> bool:
        return self.run("python", "-c", f"import {module}").returncode == 0
