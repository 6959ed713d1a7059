"""Each alert of the chart is caused, and does not fire without its cause: promtool judges."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.conftest import Render
from tests.programs import program

HANDLER = 'namespace="shop", service="payments", handler="charge"'
POD = 'namespace="shop", container="payments", pod="payments-1"'
STREAM = 'namespace="shop", service="business-dashboard", stream="ORDERS"'


@dataclass(frozen=True, slots=True)
class Case:
    """What causes an alert, sample by sample each minute, and what goes on without it."""

    alert: str
    cause: dict[str, str]
    fine: dict[str, str]
    labels: dict[str, str]
    after: str


OF_HANDLER = {"service": "payments", "handler": "charge"}
CASES = [
    Case(
        "MessagesWait",
        {f"jetmesh_lag{{{HANDLER}}}": "5000x30"},
        {f"jetmesh_lag{{{HANDLER}}}": "5000x5 10x25"},
        OF_HANDLER,
        "15m",
    ),
    Case(
        "DeadLetters",
        {f"jetmesh_dead_total{{{HANDLER}}}": "0x5 1x25"},
        {f"jetmesh_dead_total{{{HANDLER}}}": "7x30"},
        OF_HANDLER,
        "10m",
    ),
    Case(
        "NotReady",
        {f"jetmesh_ready{{{POD}}}": "0x30"},
        {f"jetmesh_ready{{{POD}}}": "0x3 1x27"},
        {"container": "payments"},
        "10m",
    ),
    Case(
        "MessagesOld",
        {f"jetmesh_oldest_seconds{{{HANDLER}}}": "0+60x30"},
        {f"jetmesh_oldest_seconds{{{HANDLER}}}": "500x30"},
        OF_HANDLER,
        "20m",
    ),
    Case(
        "DependencyAway",
        {f"jetmesh_unavailable{{{HANDLER}}}": "1x30"},
        {f"jetmesh_unavailable{{{HANDLER}}}": "1x3 0x27"},
        OF_HANDLER,
        "10m",
    ),
    Case(
        "PublishesWait",
        {
            f"jetmesh_publishes_pending{{{POD}}}": "3x30",
            f"jetmesh_publishes_resent_total{{{POD}}}": "0+60x30",
        },
        {
            f"jetmesh_publishes_pending{{{POD}}}": "3x30",
            f"jetmesh_publishes_resent_total{{{POD}}}": "4x30",
        },
        {"container": "payments"},
        "15m",
    ),
    Case(
        "SecondOutcomes",
        {f"jetmesh_refused_total{{{HANDLER}}}": "0x5 1x25"},
        {f"jetmesh_refused_total{{{HANDLER}}}": "3x30"},
        OF_HANDLER,
        "10m",
    ),
    Case(
        "EventsSkipped",
        {f"jetmesh_skipped_total{{{STREAM}}}": "0x5 2x25"},
        {f"jetmesh_skipped_total{{{STREAM}}}": "2x30"},
        {"service": "business-dashboard", "stream": "ORDERS"},
        "10m",
    ),
]


@pytest.fixture
def groups(render: Render) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = render("monitoring.rules=true").one("PrometheusRule", "shop")[
        "spec"
    ]["groups"]
    return found


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run(
        [program("promtool"), *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_the_rules(groups: list[dict[str, Any]], tmp_path: Path) -> None:
    promtool("check", "rules", written(tmp_path / "rules.yaml", {"groups": groups}))


def test_every_alert_is_caused_here(groups: list[dict[str, Any]]) -> None:
    assert [c.alert for c in CASES] == [r["alert"] for g in groups for r in g["rules"]]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert)
@pytest.mark.parametrize("caused", [True, False], ids=["caused", "fine"])
def test_an_alert_fires_for_its_cause_alone(
    groups: list[dict[str, Any]], tmp_path: Path, case: Case, *, caused: bool
) -> None:
    rules = written(tmp_path / "rules.yaml", {"groups": groups})
    [rule] = [r for g in groups for r in g["rules"] if r["alert"] == case.alert]
    series = case.cause if caused else case.fine
    fired = [{"exp_labels": {**case.labels, **rule["labels"]}}] if caused else []
    if caused:
        fired[0]["exp_annotations"] = {"summary": said(rule, case, series)}
    test = {
        "rule_files": [str(rules)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": k, "values": v} for k, v in series.items()],
                "alert_rule_test": [
                    {"eval_time": case.after, "alertname": case.alert, "exp_alerts": fired}
                ],
            }
        ],
    }
    promtool("test", "rules", written(tmp_path / "test.yaml", test))


def test_every_query_of_the_dashboard_is_one(render: Render, tmp_path: Path) -> None:
    text = render("monitoring.dashboard=true").one("ConfigMap", "shop-grafana")["data"]["shop.json"]
    panels = json.loads(text)["panels"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    rules = [
        {"record": f"query:{n}", "expr": expr.replace("$namespace", "shop")}
        for n, expr in enumerate(queries)
    ]
    groups = {"groups": [{"name": "dashboard", "rules": rules}]}
    promtool("check", "rules", written(tmp_path / "rules.yaml", groups))


def said(rule: dict[str, Any], case: Case, series: dict[str, str]) -> str:
    """The summary as somebody reads it."""
    text: str = rule["annotations"]["summary"]
    for name, value in case.labels.items():
        text = text.replace(f"{{{{ $labels.{name} }}}}", value)
    first = next(iter(series.values()))
    return text.replace("{{ $value }}", first.partition("x")[0])


def written(path: Path, content: object) -> Path:
    path.write_text(yaml.safe_dump(content))
    return path
