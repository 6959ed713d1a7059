"""Programs that tests run and no package of Python brings, and what is done without them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final, NoReturn

import pytest

ROOT: Final = Path(__file__).parents[1]
BROUGHT_BY: Final = {
    "chromium": "apt-get install chromium brings it, or brew install chromium",
    "helm": "deploy/k8s/install-tools brings it",
    "kubectl": "deploy/k8s/install-tools brings it",
    "promtool": "apt-get install prometheus brings it",
    "nats": "go install github.com/nats-io/natscli/nats@v0.5.1 brings it",
}
_PLACES: Final = (None, ROOT / ".cache" / "bin", Path.home() / "go" / "bin")
"""PATH, then where they are put."""


def program(name: str) -> str:
    """Where a program is; without it no test goes on that asks for it."""
    places = (shutil.which(name, path=place and str(place)) for place in _PLACES)
    found = next(filter(None, places), None)
    if found is None:
        missing(f"There is no {name} on PATH or in .cache/bin: {BROUGHT_BY[name]}.")
    return found


def missing(text: str) -> NoReturn:
    """End the test that needs what this machine has not: CI must have it, others may do without."""
    if os.environ.get("CI"):
        pytest.fail(text)
    pytest.skip(text)
