"""The wheel builds, is typed, installs into a clean environment, and its command works there."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(300)  # it may have to download what it installs
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    directory = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(directory)]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True)
    (built,) = directory.glob("*.whl")
    return built


def test_the_wheel_holds_the_packages_with_their_types_and_pages(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for package in ("jetmesh", "shop", "shop_contracts"):
        assert f"{package}/py.typed" in names
    assert any(name.startswith("shop/web/") and name.endswith(".css") for name in names)
    assert not any(name.startswith(("tests/", "cmd/", "benchmarks/")) for name in names)


def test_the_wheel_installs_into_a_clean_environment(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "clean")
    binaries = tmp_path / "clean" / "bin"
    # our pip, and no bytecode of what is not imported: half of the time
    pip = [sys.executable, "-m", "pip", "--python", str(binaries / "python")]
    pip += ["install", "-q", "--disable-pip-version-check", "--no-compile"]
    requirements = ROOT / "requirements" / "runtime.txt"
    subprocess.run([*pip, "--require-hashes", "-r", str(requirements)], check=True)
    subprocess.run([*pip, "--no-deps", str(wheel)], check=True)
    shown = subprocess.run(
        [str(binaries / "jetmesh"), "--help"],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert "publish" in shown.stdout
    subprocess.run(
        [str(binaries / "python"), "-c", "import jetmesh.runtime, shop.system, shop_contracts"],
        check=True,
        cwd=tmp_path,
    )
