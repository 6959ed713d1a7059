"""What the image starts, and what it is built from."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from jetmesh.operate.deploy.sources import BASE, image_parts
from jetmesh.operate.project import Whole
from tests.deploy.conftest import ROOT

IMAGE = ROOT / "deploy" / "image"


def start(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run what the image runs, at its place among the sources."""
    program = (
        f"import start, pathlib; start.PROGRAMS = pathlib.Path({str(ROOT / 'cmd')!r}); start.main()"
    )
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(IMAGE), *sys.path]), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_a_service_is_started_by_its_name() -> None:
    started = start("payments", JETMESH__NATS__URL="nats://")
    assert started.returncode == 1
    assert started.stderr.startswith("payments: JETMESH__NATS__URL")


def test_the_command_line_is_started_by_its_name() -> None:
    shown = start("jetmesh", "topology", JETMESH_SYSTEM="shop.system:system")
    assert shown.returncode == 0
    assert "order-validation" in shown.stdout


def test_a_name_that_is_none_is_answered_with_those_that_are(whole: Whole) -> None:
    for arguments in (("paymnets",), ()):
        refused = start(*arguments)
        assert refused.returncode == 2
        assert all(service.name in refused.stderr for service in whole.services)
        assert "Traceback" not in refused.stderr


def test_the_image_runs_as_nobody_from_hashed_wheels_on_a_base_that_stays_the_same() -> None:
    text = (IMAGE / "Dockerfile").read_text()
    base = re.search(r"^ARG BASE=(\S+)$", text, re.MULTILINE)
    assert base is not None
    assert base[1] == BASE
    assert re.fullmatch(r"\S+:\S+@sha256:[0-9a-f]{64}", base[1])
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${BASE}"}
    assert "--require-hashes" in text
    assert "\nUSER 65532:65532\n" in text
    assert text.count("org.opencontainers.image.") >= 4


def test_the_image_lists_what_it_is_made_of() -> None:
    made = subprocess.run(
        [sys.executable, "-m", "jetmesh.cli.deploy.sbom", "shop"],
        capture_output=True,
        check=True,
    ).stdout
    found = json.loads(made)
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.6")
    assert found["metadata"]["component"] == {"type": "container", "name": "shop"}
    versions = {each["name"]: each["version"] for each in found["components"]}
    assert "jetmesh" in versions
    assert versions["nats-py"] == metadata.version("nats-py")
    assert versions["cpython"] == platform.python_version()
    assert {metadata.version(each.name) for each in metadata.distributions()} <= set(
        versions.values()
    )
    refs = [each["bom-ref"] for each in found["components"] if "bom-ref" in each]
    assert len(refs) == len(set(refs))
    text = (IMAGE / "Dockerfile").read_text()
    assert "/app/bin/python -m jetmesh.cli.deploy.sbom shop > /app/sbom.cdx.json" in text
    # after all is installed and removed
    assert text.index("pip uninstall") < text.index("sbom.cdx.json") < text.index("compileall")


@pytest.mark.parametrize(
    "table",
    [
        '[tool.jetmesh.image]\nrequirements = ["pins.txt"]\ncopy = ["pkg"]\n',
        '[project]\nname = "garage"\n',
    ],
)
def test_what_was_released_is_in_the_image_for_can_deploy(tmp_path: Path, table: str) -> None:
    (tmp_path / "pyproject.toml").write_text(table)
    copied = "COPY contracts/released /app/contracts/released"
    assert copied not in image_parts(tmp_path)["install"]
    (tmp_path / "contracts" / "released").mkdir(parents=True)
    assert copied in image_parts(tmp_path)["install"]
