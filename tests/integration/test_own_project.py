"""Five minutes in a project of one's own: from the wheel, in a fresh environment, outside of here.

What the README and the tutorial tell an adopter to type is typed, in this order.
"""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.distributions import ROOT, Environment, build
from tests.integration.tiny_project import Up
from tests.programs import program
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(300)  # it may have to download what it installs


@pytest.fixture(scope="module")
def adopter(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Somebody who has the wheel of the mesh, and nothing of this repository."""
    built = tmp_path_factory.mktemp("dist")
    build(built, [ROOT])
    return Environment(tmp_path_factory.mktemp("adopter") / "env", built, "jetmesh[up]", "pytest")


@pytest.fixture(scope="module")
def garage(adopter: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("place")
    begun = adopter.run("jetmesh", "init", "garage", cwd=place)
    assert begun.returncode == 0, begun.stderr
    assert "jetmesh up --reload" in begun.stdout
    return place / "garage"


@pytest.fixture(scope="module")
def up(adopter: Environment, garage: Path) -> Iterator[Up]:
    running = Up(garage, "--reload", jetmesh=str(adopter.bin / "jetmesh"), environ=adopter.environ)
    try:
        running.wait_for("Ctrl-C stops everything", within=60.0)
        yield running
    finally:
        running.process.terminate()
        running.ended()


def told(adopter: Environment, garage: Path, *command: str) -> str:
    done = adopter.run(*command, cwd=garage)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_nothing_of_this_repository_is_there(adopter: Environment) -> None:
    assert not adopter.imports("shop")
    assert not adopter.imports("garage")


def test_the_first_test_passes_without_a_server(adopter: Environment, garage: Path) -> None:
    assert "1 passed" in told(adopter, garage, "pytest", "-q")


def test_an_event_is_published_and_its_story_told(
    adopter: Environment, garage: Path, up: Up
) -> None:
    (line,) = re.findall(r"  jetmesh (publish .*)", up.printed)
    assert told(adopter, garage, "jetmesh", *line.split()) == "CAR 1\n"
    wait_until(lambda: "gate.on_car_entered" in told(adopter, garage, "jetmesh", "trace", "car-1"))


def test_a_service_is_added_while_the_mesh_runs(adopter: Environment, garage: Path, up: Up) -> None:
    wished = ("new", "service", "pricing", "--on", "car.left", "--emits", "fee.due")
    written = told(adopter, garage, "jetmesh", *wished)
    assert "wrote garage/pricing.py" in written
    up.wait_for("pricing is new", within=40.0)
    told(adopter, garage, "jetmesh", "publish", "car.left", "examples/car.left/example.json")
    wait_until(
        lambda: "pricing.on_car_left" in told(adopter, garage, "jetmesh", "trace", "car-1"),
        within=40.0,
        what=lambda: up.printed,
    )
    assert "2 passed" in told(adopter, garage, "pytest", "-q")
    assert "up to date" in told(adopter, garage, "jetmesh", "contracts", "--check")
    assert "All is well" in told(adopter, garage, "jetmesh", "doctor", "--once")


def test_one_service_runs_alone_beside_them(adopter: Environment, garage: Path, up: Up) -> None:
    alone = subprocess.Popen(
        [str(adopter.bin / "jetmesh"), "run", "garage.pricing"],
        cwd=garage,
        env=adopter.environ,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert alone.stderr is not None
    try:
        said = next(line for line in alone.stderr if '"started"' in line)
    finally:
        alone.terminate()
        alone.communicate(timeout=20)
    assert up.state.services["pricing"].url not in said


def test_its_story_is_tried_as_helm_test_does(adopter: Environment, garage: Path, up: Up) -> None:
    tried = told(adopter, garage, "jetmesh", "deploy", "test", "--nats-url", up.state.nats_url)
    assert "car.entered" in tried
    assert "gate.on_car_entered" in tried


def test_it_is_deployed_with_manifests_that_kubernetes_takes(
    adopter: Environment, garage: Path
) -> None:
    helm = garage / ".cache" / "bin" / "helm"
    helm.parent.mkdir(parents=True)
    helm.symlink_to(program("helm"))
    told(adopter, garage, "jetmesh", "deploy", "init")
    told(adopter, garage, "jetmesh", "deploy", "manifests")
    assert "up to date" in told(adopter, garage, "jetmesh", "deploy", "manifests", "--check")
    assert "/project" in (garage / "deploy" / "image" / "Dockerfile").read_text()
    objects = sorted((garage / "deploy" / "k8s").rglob("objects.yaml"))
    assert len(objects) == 3
    for file in objects:
        validator = Path(sys.executable).with_name("kubernetes-validate")
        done = subprocess.run(
            [validator, "--strict", "--quiet", file], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


def test_the_project_installs(garage: Path, tmp_path: Path) -> None:
    """With the build backend that its pyproject names."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "-o", str(tmp_path)]
    subprocess.run([*command, str(garage)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("garage-*.whl")
    found = zipfile.ZipFile(wheel).namelist()
    assert {"garage/gate.py", "garage/py.typed", "garage/contracts/car_entered.py"} <= {*found}
    assert {name.partition("/")[0].partition("-")[0] for name in found} == {"garage"}


def test_the_tutorial_works_as_it_is_written(adopter: Environment, tmp_path: Path) -> None:
    """Every command is typed and every file saved, in order, in the directory where one is."""
    blocks = re.findall(
        r'^```(sh|\w+ title="(.+?)")\n(.*?)^```$',
        (ROOT / "docs" / "tutorial.md").read_text(),
        re.DOTALL | re.MULTILINE,
    )
    place, running = tmp_path, None
    shell = {"PATH": f"{adopter.bin}:/usr/bin:/bin"}
    try:
        for _, saved, text in blocks:
            if saved:
                (place / saved).write_text(text)
            for line in () if saved else text.splitlines():
                if line.startswith("cd "):
                    place = place / line.removeprefix("cd ")
                elif line.startswith("jetmesh up"):
                    options = line.split()[2:]
                    running = Up(
                        place, *options, jetmesh=str(adopter.bin / "jetmesh"), environ=shell
                    )
                    running.wait_for("Ctrl-C stops everything", within=60.0)
                elif line.startswith("jetmesh trace"):
                    expect_a_story(line, place, shell)
                else:
                    typed(line, place, shell)
    finally:
        if running is not None:
            running.process.terminate()
            running.ended()
    assert running is not None
    assert "pricing is new" in running.printed
    assert len(blocks) > 8


def typed(line: str, place: Path, environ: dict[str, str]) -> str:
    done = subprocess.run(
        ["sh", "-c", line], cwd=place, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
    return done.stdout


def expect_a_story(line: str, place: Path, environ: dict[str, str]) -> None:
    """What a service makes of an event is there a moment later."""
    wait_until(
        lambda: re.search(r"\w+\.on_car_", typed(line, place, environ)),
        within=40.0,
        what=lambda: f"{line}: {typed(line, place, environ)}",
    )
