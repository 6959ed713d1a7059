"""`jetmesh deploy` in a project that is no shop: its image, its chart, its manifests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests import warm
from tests.deploy.conftest import SEED, Helm, Rendered
from tests.programs import program

SYSTEM = 'from jetmesh import System\nsystem = System("My Garage", services=("pricing",))\n'
SERVICE = """
from typing import Annotated
from msgspec import Meta, Struct
from jetmesh import Service, event

@event("cars.left", key="plate")
class CarLeft(Struct, frozen=True):
    plate: str
    minutes: Annotated[int, Meta(examples=[30])]
    place: Annotated[str, Meta(examples=["Queen's"])]

@event("fees.due", key="plate")
class FeeDue(Struct, frozen=True):
    plate: str

service = Service("pricing")

@service.on(CarLeft)
def price(car: CarLeft) -> FeeDue:
    return FeeDue(car.plate)
"""
HANDLER = """
@service.on(FeeDue)
def remind(fee: FeeDue) -> None: ...
"""


@pytest.fixture
def garage(tmp_path: Path) -> Path:
    """A flat project: three files."""
    (tmp_path / "pyproject.toml").write_text('[tool.jetmesh]\nsystem = "garage:system"\n')
    (tmp_path / "garage.py").write_text(SYSTEM)
    (tmp_path / "pricing.py").write_text(SERVICE)
    return tmp_path


def deploy(
    root: Path, *arguments: str, code: int = 0, **environ: str
) -> subprocess.CompletedProcess[str]:
    path = f"{Path(program('helm')).parent}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path} | environ
    done = warm.command(["deploy", *arguments], cwd=root, env=env)
    assert done.returncode == code, done.stderr
    return done


def rendered(helm: Helm, root: Path, *options: str) -> Rendered:
    done = helm("template", "my-garage", root / "deploy" / "k8s" / "chart", SEED, *options)
    assert done.returncode == 0, done.stderr
    return Rendered(done.stdout)


def test_the_chart_of_any_project_keeps_the_schema_of_kubernetes(helm: Helm, garage: Path) -> None:
    deploy(garage, "init")
    options = [f"--set=monitoring.{each}=true" for each in ("podMonitor", "rules", "dashboard")]
    found = rendered(helm, garage, *options)
    file = garage / "rendered.yaml"
    file.write_text(rendered(helm, garage).text)
    validator = Path(sys.executable).with_name("kubernetes-validate")
    done = subprocess.run(
        [validator, "--strict", "--quiet", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert helm("lint", "--strict", garage / "deploy" / "k8s" / "chart").returncode == 0
    assert found.kind("Deployment").keys() == {"pricing"}
    assert found.one("PodMonitor", "my-garage")
    assert '"title": "My garage"' in str(found.one("ConfigMap", "my-garage-grafana"))


def test_nothing_that_is_written_knows_the_shop(garage: Path) -> None:
    deploy(garage, "init")
    deploy(garage, "manifests")
    texts = {path: path.read_text().lower() for path in (garage / "deploy").rglob("*.*")}
    for word in ("shop", "purchase", "payment", "mail", "customer"):
        assert [path for path, text in texts.items() if word in text] == []


def test_the_notes_show_how_to_publish_the_example(helm: Helm, garage: Path) -> None:
    deploy(garage, "init")
    chart = garage / "deploy" / "k8s" / "chart"
    notes = helm("install", "my-garage", chart, "--dry-run=client", SEED).stdout.partition(
        "NOTES:"
    )[2]
    shown = next(line for line in notes.splitlines() if "nats pub" in line)
    printed = subprocess.run(
        ["bash", "-c", shown.replace("nats pub", "echo")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout == ('cars.left {"plate":"example-1","minutes":30,"place":"Queen\'s"}\n')
    assert "get events --field-selector reason=FailedScheduling" in notes, "helm says nothing"
    assert "The pages" not in notes
    assert "SANDBOX" not in notes


def test_an_event_without_an_example_is_named_and_not_tried(helm: Helm, garage: Path) -> None:
    text = SERVICE.replace("Annotated[int, Meta(examples=[30])]", "int")
    (garage / "pricing.py").write_text(text)
    said = deploy(garage, "init").stderr
    assert said.startswith("`helm test` will not publish cars.left. CarLeft.minutes has neither an")
    assert "Pod" not in {found["kind"] for found in rendered(helm, garage).objects}


def test_an_image_stands_on_the_base_that_the_project_names(garage: Path) -> None:
    base = f"python:3.13-slim@sha256:{'a' * 64}"
    with (garage / "pyproject.toml").open("a") as pyproject:
        pyproject.write(f'[tool.jetmesh.image]\nbase = "{base}"\n')
    deploy(garage, "init")
    text = (garage / "deploy" / "image" / "Dockerfile").read_text()
    assert text.count(f"ARG BASE={base}\n") == 1
    assert "COPY . /app/\n" in text
    assert deploy(garage, "image", BUILDER="true").stderr == ""


def test_a_base_that_may_be_another_tomorrow_is_told_before_the_build(garage: Path) -> None:
    deploy(garage, "init")
    assert deploy(garage, "image", BUILDER="true").stderr == "", "ours is named by its digest"
    other = deploy(garage, "image", BUILDER="true", BASE="debian:13").stderr
    assert other.startswith("debian:13 has no digest: the next build may stand on another one.")
    with (garage / "pyproject.toml").open("a") as pyproject:
        pyproject.write('[tool.jetmesh.image]\nbase = "python:3.14-slim"\n')
    deploy(garage, "init", "--force")
    assert deploy(garage, "image", BUILDER="true").stderr.startswith("python:3.14-slim has no")


def test_a_base_without_tag_or_digest_is_refused(garage: Path) -> None:
    with (garage / "pyproject.toml").open("a") as pyproject:
        pyproject.write('[tool.jetmesh.image]\nbase = "python"\n')
    refused = deploy(garage, "init", code=2).stderr
    assert refused.startswith("[tool.jetmesh.image] in pyproject.toml is wrong")


def test_manifests_of_both_overlays_are_rendered_and_compared(garage: Path) -> None:
    assert "jetmesh deploy init writes it" in deploy(garage, "manifests", code=2).stderr
    deploy(garage, "init")
    deploy(garage, "manifests")
    deploy(garage, "manifests", "--check")
    (garage / "pricing.py").write_text(SERVICE + HANDLER)
    stale = deploy(garage, "manifests", "--check", code=1)
    assert "deploy/k8s/chart/values.yaml" in stale.stdout
    deploy(garage, "manifests")
    deploy(garage, "manifests", "--check")
    for name in ("development", "production"):
        built = subprocess.run(
            [program("kubectl"), "kustomize", garage / "deploy" / "k8s" / "overlays" / name],
            capture_output=True,
            text=True,
            check=True,
        )
        kinds = {found["kind"] for found in yaml.safe_load_all(built.stdout)}
        assert {"Deployment", "StatefulSet", "Job"} <= kinds


def test_what_was_changed_by_hand_is_named_and_stays_until_it_is_forced(garage: Path) -> None:
    deploy(garage, "init")
    changed = garage / "deploy" / "image" / "Dockerfile"
    written = changed.read_text()
    changed.write_text(f"{written}# ours\n")
    (garage / "pricing.py").write_text(SERVICE + HANDLER)
    values = garage / "deploy" / "k8s" / "chart" / "values.yaml"
    before = values.read_text()
    refused = deploy(garage, "init", code=2).stderr
    assert "\n  deploy/image/Dockerfile\n" in refused
    assert "jetmesh deploy init --force" in refused
    assert (changed.read_text(), values.read_text()) == (f"{written}# ours\n", before)
    deploy(garage, "init", "--force")
    assert changed.read_text() == written
    assert "remind" in values.read_text()


def test_what_is_the_project_s_own_is_never_written_over(garage: Path) -> None:
    deploy(garage, "init")
    kubernetes = garage / "deploy" / "k8s"
    own = [kubernetes / "chart" / "Chart.yaml", kubernetes / "overlays/development/values.yaml"]
    for path in own:
        path.write_text(f"{path.read_text()}# ours\n")
    readme = kubernetes / "chart" / "README.md"
    readme.write_text(readme.read_text().replace("# The chart of my-garage", "# Ours"))
    (kubernetes / "chart" / "templates" / "ours.yaml").write_text("# ours\n")
    deploy(garage, "init", "--check")
    deploy(garage, "init", "--force")
    assert all(path.read_text().endswith("# ours\n") for path in own)
    assert readme.read_text().startswith("# Ours")


def test_the_image_is_built_by_the_builder_of_choice(garage: Path) -> None:
    assert "jetmesh deploy init writes it" in deploy(garage, "image", code=2).stderr
    deploy(garage, "init")
    own = deploy(garage, "image", BUILDER="echo").stdout.split()
    assert "--tag=my-garage:1.0.0" in own
    named = deploy(garage, "image", "a.example:5000/x", "--pull", BUILDER="echo", BASE="b").stdout
    assert {"--tag=a.example:5000/x", "--build-arg=VERSION=latest", "--pull"} <= set(named.split())
    assert "--build-arg=BASE=b" in named


def test_the_image_starts_a_service_that_has_no_program(garage: Path) -> None:
    deploy(garage, "init")
    started = subprocess.run(
        [sys.executable, garage / "deploy" / "image" / "start.py", "pricing"],
        cwd=garage,
        env={**os.environ, "JETMESH_SYSTEM": "garage:system", "JETMESH__NATS__URL": "nats://"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert started.stderr.startswith("pricing: JETMESH__NATS__URL")


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("", "COPY . /app/\n"),
        ('[project]\nname = "garage"\n', "pip install --quiet --no-cache-dir"),
        (
            '[tool.jetmesh.image]\nrequirements = ["lock.txt"]\ncopy = ["src"]\npath = ["src"]\n',
            "--require-hashes --no-build-isolation -r /tmp/lock.txt",
        ),
    ],
    ids=["folder", "package", "locked"],
)
def test_the_image_gets_the_code_as_the_project_has_it(
    garage: Path, table: str, expected: str
) -> None:
    pyproject = garage / "pyproject.toml"
    pyproject.write_text(pyproject.read_text() + table)
    deploy(garage, "init")
    text = (garage / "deploy" / "image" / "Dockerfile").read_text()
    assert expected in text
    assert not re.search(r"@\w+@", text), "every place of the template is filled"


def test_a_wrong_table_for_the_image_is_a_sentence(garage: Path) -> None:
    pyproject = garage / "pyproject.toml"
    pyproject.write_text(pyproject.read_text() + '[tool.jetmesh.image]\nrequirement = "x"\n')
    said = deploy(garage, "init", code=2).stderr
    assert said.startswith("[tool.jetmesh.image] in pyproject.toml is wrong: Object ")


def test_a_name_that_no_chart_can_have_is_refused(garage: Path) -> None:
    (garage / "garage.py").write_text(SYSTEM.replace("My Garage", "42"))
    assert "Begin the name in System" in deploy(garage, "init", code=2).stderr
