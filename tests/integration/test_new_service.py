"""`jetmesh init` and `jetmesh new service`: what they write works, and nothing is overwritten."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.own_project import told
from tests.integration.tiny_project import command, tiny


def files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "cache" not in str(path)
    }


def python(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=root, capture_output=True, text=True, check=False
    )


def test_a_new_project_is_tidy_and_its_tests_pass(garage: Path) -> None:
    told(garage, "new", "service", "pricing", "--on", "car.left", "--emits", "fee.due")
    told(garage, "new", "service", "audit", "--on", "fee.due")
    for arguments in (
        ("pytest", "-q"),
        ("ruff", "check", "--isolated"),
        ("ruff", "format", "--isolated", "--check"),
        ("mypy", "--config-file=", "."),
    ):
        done = python(garage, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    assert told(garage, "contracts", "--check") == "The contracts are up to date.\n"
    topology = told(garage, "topology")
    assert all(name in topology for name in ("gate", "pricing", "audit", "car.left", "fee.due"))


def test_a_service_takes_up_contracts_that_exist(garage: Path) -> None:
    told(garage, "new", "service", "wash", "--on", "car.parked", "--emits", "car.washed")
    source = (garage / "garage" / "wash.py").read_text()
    assert "from garage.contracts.car_parked import CarParked" in source
    assert "return CarWashed(id=car_parked.id)" in source
    assert not (garage / "examples" / "car.parked").exists()  # nobody outside publishes it


def test_what_a_command_wrote_once_it_does_not_write_again(garage: Path) -> None:
    before = files(garage)
    taken = command(garage, "new", "service", "gate", "--on", "car.left")
    assert (taken.returncode, taken.stderr) == (
        2,
        "There is a service 'gate' already.\nChoose another name.\n",
    )
    (garage / "tests" / "test_wash.py").write_text("mine")
    in_the_way = command(garage, "new", "service", "wash", "--on", "car.left")
    assert in_the_way.returncode == 2
    assert "test_wash.py exists already, and nothing is overwritten" in in_the_way.stderr
    (garage / "tests" / "test_wash.py").unlink()
    assert files(garage) == before


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (("twin", "--on", "car.left", "--emits", "car.parked"), "must have a single owner"),
        (("loop", "--on", "car.parked", "--emits", "car.entered"), "lead back to its input"),
        (("mine", "--on", "lanes.taken"), "belongs to the mesh"),
    ],
)
def test_a_contradiction_leaves_everything_as_it_was(
    garage: Path, arguments: tuple[str, ...], cause: str
) -> None:
    before = files(garage)
    refused = command(garage, "new", "service", *arguments)
    assert refused.returncode == 1
    assert cause in refused.stderr
    assert refused.stderr.endswith("Nothing was written.\n")
    assert files(garage) == before


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (("Wash", "--on", "car.left"), "'Wash' cannot name a service"),
        (("class", "--on", "car.left"), "'class' cannot name a service"),
        (("wash", "--on", "car"), "'car' cannot be the subject of an event"),
        (("wash", "--on", "car.left", "--emits", "Fee.due"), "'Fee.due' cannot be the subject"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused(
    garage: Path, arguments: tuple[str, ...], cause: str
) -> None:
    refused = command(garage, "new", "service", *arguments)
    assert refused.returncode == 2
    assert cause in refused.stderr


def test_a_flat_project_gets_its_service_beside_the_others(tmp_path: Path) -> None:
    root = tiny(tmp_path / "tiny")
    told(root, "new", "service", "third", "--on", "things.made", "--emits", "things.sold")
    assert (root / "third.py").exists()
    assert "from things_sold import ThingsSold" in (root / "third.py").read_text()
    assert '"tiny_second", "third")' in (root / "tiny_system.py").read_text()
    assert python(root, "pytest", "-q", "--rootdir=.", "-p", "no:cacheprovider").returncode == 0


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("json", "There is a package or folder 'json' already"),
        ("tests", "There is a package or folder 'tests' already"),
        ("My-Garage", "'My-Garage' cannot name a project"),
        ("taken", "taken exists already, and nothing is overwritten"),
    ],
)
def test_a_project_is_not_begun_where_something_is(tmp_path: Path, name: str, cause: str) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    before = files(tmp_path)
    refused = command(tmp_path, "init", name)
    assert refused.returncode == 2
    assert cause in refused.stderr
    assert files(tmp_path) == before


def test_a_project_may_have_a_name_of_several_words(tmp_path: Path) -> None:
    told(tmp_path, "init", "park-house")
    assert (tmp_path / "park-house" / "park_house" / "gate.py").exists()
    assert "gate" in told(tmp_path / "park-house", "topology")
