"""From a declaration through values, helm and a pod's files back: names stay what they were."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import Phase
from hypothesis import given as when
from hypothesis import settings as tried
from msgspec import Struct

from jetmesh import Policy, Sandbox, Service, System, derive
from jetmesh.declare import StreamTuning
from jetmesh.errors import SettingsError
from jetmesh.operate.generated import write
from jetmesh.operate.helm.declared import chart_values
from jetmesh.operate.helm.facts import facts
from jetmesh.operate.helm.files import contents
from jetmesh.operate.helm.text import values_yaml
from jetmesh.operate.project import Whole
from jetmesh.settings import Loaded, load_settings
from shop_contracts import PaymentDeclined
from tests.deploy.conftest import CHART, README, SEED, Helm, Rendered
from tests.examples import examples
from tests.odd_settings import NASTY, Key, Tree, settings_of, told_apart, trees


class Pods:
    """The pods of one service, as helm renders them."""

    def __init__(self, helm: Helm, service: Service, values: Any, system: System) -> None:
        self.service = service
        with tempfile.TemporaryDirectory() as folder:
            chart = Path(folder) / "chart"
            shutil.copytree(CHART, chart)
            write(contents(system, derive([service]), chart, README))
            said = Path(folder) / "values.json"
            said.write_text(json.dumps({"services": {service.name: values}}))
            done = helm("template", "odd", chart, SEED, "--values", said)
        assert done.returncode == 0, done.stderr
        self.rendered = Rendered(done.stdout)

    def read(self, folder: Path) -> Loaded:
        """What they read when they start."""
        file = folder / "jetmesh.toml"
        name = self.service.name
        file.write_text(self.rendered.one("ConfigMap", name)["data"]["jetmesh.toml"])
        secret = self.rendered.kind("Secret").get(name, {"stringData": {}})
        return load_settings([self.service], file=file, environ=secret["stringData"])


def values_of(tree: Mapping[str, Any]) -> dict[str, Any]:
    """What somebody writes to set all of `tree`: the names that were declared."""
    hidden, shown = part_of(tree, str), part_of(tree, int)
    return ({"settings": shown} if shown else {}) | ({"secrets": hidden} if hidden else {})


def part_of(tree: Mapping[str, Any], kind: type) -> dict[str, Any]:
    """The values of one type, in their tables."""
    found = {
        name: part_of(value, kind) if isinstance(value, dict) else value
        for name, value in tree.items()
        if isinstance(value, kind | dict)
    }
    return {name: value for name, value in found.items() if value != {}}


def arrives(helm: Helm, tree: Tree) -> None:
    service = Service("odd-one", settings=settings_of(tree))
    pods = Pods(helm, service, values_of(tree), System("odd", ()))
    with tempfile.TemporaryDirectory() as folder:
        loaded = pods.read(Path(folder))
    assert msgspec.to_builtins(loaded.of(service)) == tree


def test_nasty_names_arrive(helm: Helm) -> None:
    numbers = {name: number for number, name in enumerate(NASTY, 1)}
    arrives(helm, {**numbers})
    arrives(helm, {name: f"k{number}" for name, number in numbers.items()})
    arrives(helm, {"table_1": {**numbers}})
    arrives(helm, {"table_1": {**numbers} | {"key": "k1"}, "table_2": {"key": "k2"}})


class Mailing(Struct, frozen=True):
    host: str = ""
    password: str = ""


class Nested(Struct, frozen=True):
    smtp: Mailing = Mailing()
    name: str = ""


def test_what_nobody_may_read_goes_into_the_secret_from_any_depth(helm: Helm) -> None:
    service = Service("odd-one", settings=Nested)
    values = {"settings": {"smtp": {"host": "h1"}}, "secrets": {"smtp": {"password": "p1"}}}
    rendered = Pods(helm, service, values, System("odd", ())).rendered
    assert "p1" not in str(rendered.one("ConfigMap", "odd-one"))
    assert rendered.one("Secret", "odd-one")["stringData"] == {
        "JETMESH__SERVICES__ODD_ONE__SETTINGS__SMTP__PASSWORD": "p1"
    }


class Region(Struct, frozen=True):
    name: str


class Needy(Struct, frozen=True):
    region: Region
    api_key: str
    number: int
    note: str = ""


NEEDED: dict[str, Any] = {
    "settings": {"region": {"name": "north"}, "number": 3},
    "secrets": {"api_key": "k1"},
}


@pytest.mark.parametrize(
    ("values", "missing"),
    [
        ({**NEEDED, "settings": {"number": 3}}, "settings.region.name"),
        ({**NEEDED, "settings": {"region": {"name": "north"}}}, "settings.number"),
        ({"settings": NEEDED["settings"]}, "secrets.api_key"),
    ],
)
def test_a_setting_without_a_default_is_asked_for_when_the_chart_is_installed(
    helm: Helm, values: dict[str, Any], missing: str
) -> None:
    service = Service("odd-one", settings=Needy)
    with pytest.raises(
        AssertionError, match=rf"services\.odd-one\.{missing} is missing and has no"
    ):
        Pods(helm, service, values, System("odd", ()))


def test_a_setting_without_a_default_may_come_from_a_secret_of_one_s_own(
    helm: Helm, tmp_path: Path
) -> None:
    service = Service("odd-one", settings=Needy)
    assert Pods(helm, service, NEEDED, System("odd", ())).read(tmp_path).of(service) == Needy(
        region=Region("north"), api_key="k1", number=3
    )
    pods = Pods(helm, service, {"existingSecret": "mine"}, System("odd", ()))
    with pytest.raises(SettingsError, match="odd-one needs the setting 'region'"):
        pods.read(tmp_path).of(service)


@tried(
    max_examples=examples(15), deadline=None, phases=(Phase.generate,)
)  # shrinking takes minutes
@when(tree=trees().filter(told_apart))
def test_any_legal_name_arrives(helm: Helm, tree: Tree) -> None:
    arrives(helm, tree)


def test_what_is_left_out_is_what_was_declared(helm: Helm, tmp_path: Path) -> None:
    class Sparse(Struct, frozen=True):
        on: int = 7
        key_2: Key = "k"
        nobody: int | None = None

    service = Service("odd-one", settings=Sparse)
    pods = Pods(helm, service, {}, System("odd", ()))
    assert pods.read(tmp_path).of(service) == Sparse()


class Addresses(Struct, frozen=True):
    host: str = ""
    port: int = 0
    s3_2_host: str = ""
    s3_2_port: int = 0
    api_v2_url: str = ""
    ftp_host: str = ""


def test_what_a_sandbox_stands_in_for_is_called_as_declared(helm: Helm, tmp_path: Path) -> None:
    service = Service("odd-one", settings=Addresses)
    said = {
        "port": "{http}",
        "s3_2_host": "127.0.0.1",
        "api_v2_url": "http://127.0.0.1:{http}/v2",
        "ftp_host": "127.0.0.1",
    }
    environment = {service.variable(name): text for name, text in said.items()}
    sandbox = Sandbox("pretend", ports={"http": 8090, "s3_2": 9000}, environment=environment)
    pods = Pods(helm, service, {}, System("odd", (), sandboxes=(sandbox,)))
    assert pods.read(tmp_path).of(service) == Addresses(
        host="pretend",
        port=8090,
        s3_2_host="pretend",
        s3_2_port=9000,
        api_v2_url="http://pretend:8090/v2",
        ftp_host="pretend",
    )


@pytest.mark.parametrize("name", ["on", "no", "y", "null", "try_2", "a__b", "a-b"])
def test_a_handler_keeps_its_name_too(helm: Helm, tmp_path: Path, name: str) -> None:
    service = Service("odd-one")

    @service.on(PaymentDeclined, name=name)
    def handle(declined: PaymentDeclined) -> None: ...

    values = {"handlers": {name: {"maxAckPending": 77}}}
    pods = Pods(helm, service, values, System("odd", ()))
    policies = pods.read(tmp_path).policies([service])
    assert policies == {("odd-one", name): Policy(max_ack_pending=77)}


def test_the_names_of_charts_lead_back_to_one_declared_name_each(whole: Whole) -> None:
    values = yaml.safe_load(values_yaml(chart_values(whole.system, whole.topology)))
    names = facts(whole.system, whole.topology)["names"]
    declared = {*Policy.__struct_fields__, *StreamTuning.__struct_fields__}
    assert sorted(names.values()) == sorted(declared)
    tuned = [*values["streams"].values()]
    tuned += [h for s in values["services"].values() for h in s.get("handlers", {}).values()]
    assert {name for each in tuned for name in each} == names.keys()
