"""The chart's values, schema, facts and table follow the declarations, without a cluster."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from jetmesh import Duration, Service, System, derive
from jetmesh.errors import SettingsError, UsageError
from jetmesh.operate.deploy.files import deployment
from jetmesh.operate.generated import read, stale, write
from jetmesh.operate.helm.declared import chart_values
from jetmesh.operate.helm.facts import facts
from jetmesh.operate.helm.files import contents
from jetmesh.operate.helm.text import schema_json, table, values_yaml
from jetmesh.operate.helm.tree import DURATION
from jetmesh.operate.project import Whole, find_project
from shop_contracts import PaymentDeclined
from tests.deploy.conftest import README, ROOT


def test_what_the_chart_takes_from_the_declarations_is_up_to_date(
    whole: Whole, chart: Path
) -> None:
    found = contents(whole.system, whole.topology, chart, README)
    assert stale(found) == [], "run jetmesh deploy init"


def test_the_shop_has_what_any_project_would_get(whole: Whole, tmp_path: Path) -> None:
    found = deployment(find_project(start=ROOT), whole, tmp_path)
    fresh = {path.relative_to(tmp_path): text for path, text in found.to_write().items()}
    own = Path("k8s/overlays/production/values.yaml")  # with the port of a real mail server
    assert [p for p, text in fresh.items() if p != own and read(ROOT / "deploy" / p) != text] == []


def test_a_new_service_appears_in_every_part_without_a_line_of_yaml() -> None:
    fraud = Service("fraud-desk")

    @fraud.on(PaymentDeclined)
    def suspect(payment: PaymentDeclined) -> None: ...

    system, topology = System("small", ()), derive([fraud])
    values = yaml.safe_load(values_yaml(chart_values(system, topology)))
    assert values["services"]["fraud-desk"]["handlers"]["suspect"]["ackWait"] == "30s"
    schema = json.loads(schema_json(chart_values(system, topology)))
    jsonschema.validate(values, schema)
    [first, lane] = facts(system, topology)["services"]["fraud-desk"]["durables"]
    assert first == {"stream": "PAYMENTS", "name": "fraud-desk-suspect"}
    assert lane["stream"] == "LANES_fraud-desk"
    assert "services.<service>.handlers.<handler>.ackWait" in table(chart_values(system, topology))


def test_defaults_keep_their_own_schema(whole: Whole) -> None:
    values = yaml.safe_load(values_yaml(chart_values(whole.system, whole.topology)))
    jsonschema.validate(values, json.loads(schema_json(chart_values(whole.system, whole.topology))))


@pytest.mark.parametrize("text", ["45s", "250ms", "1.5h", "7d", "0s", "45", "45 s", "s", "1w", ""])
def test_the_schema_takes_a_duration_exactly_when_the_settings_do(text: str) -> None:
    schema_takes = jsonschema.Draft202012Validator(DURATION).is_valid(text)
    try:
        Duration.parse(text)
    except SettingsError:
        assert not schema_takes
    else:
        assert schema_takes


def test_no_secret_has_a_place_where_everybody_reads(whole: Whole) -> None:
    services = yaml.safe_load(values_yaml(chart_values(whole.system, whole.topology)))["services"]
    assert "gateway_key" not in services["payments"]["settings"]
    assert services["payments"]["secrets"] == {"gateway_key": ""}


def test_a_readme_without_a_place_for_the_table_is_refused(whole: Whole, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# A chart\n")
    with pytest.raises(UsageError, match="lacks the markers for the table"):
        write(contents(whole.system, whole.topology, tmp_path, README))
