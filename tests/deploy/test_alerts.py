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
SERVICES = (
    "business-dashboard",
    "customer-dashboard",
    "fulfilment",
    "loyalty",
    "notifications",
    "order-validation",
    "payments",
    "storefront",
)
READY = {f'jetmesh_ready{{namespace="shop", container="{n}", pod="p"}}': "1x30" for n in SERVICES}
NODES = [f'namespace="shop", pod="nats-{number}"' for number in range(3)]
STREAM = 'namespace="shop", service="business-dashboard", stream="ORDERS"'


@dataclass(frozen=True, slots=True)
class Case:
    """What causes an alert, sample by sample each minute, and what goes on without it."""

    alert: str
    cause: dict[str, str]
    fine: dict[str, str]
    labels: dict[str, str]
    after: str


RULES = ("monitoring.rules=true", "nats.exporter.enabled=true")
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
        "Gone",
        {series: values for series, values in READY.items() if "payments" not in series},
        READY,
        {"container": "payments", "namespace": "shop"},
        "10m",
    ),
    Case(
        "NotScheduled",
        {'kube_pod_status_unschedulable{namespace="shop", pod="provision-before-1"}': "1x30"},
        {'kube_pod_status_unschedulable{namespace="shop", pod="provision-before-1"}': "1x1"},
        {"pod": "provision-before-1"},
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
    Case(
        "NatsNodeGone",
        {f"gnatsd_healthz_status{{{node}}}": "0x30" for node in NODES[1:]},
        {f"gnatsd_healthz_status{{{node}}}": "0x30" for node in NODES},
        {},
        "10m",
    ),
    Case(
        "NatsUnhealthy",
        {f"gnatsd_healthz_status{{{NODES[0]}}}": "1x30"},
        {f"gnatsd_healthz_status{{{NODES[0]}}}": "1x3 0x27"},
        {"pod": "nats-0"},
        "10m",
    ),
    Case(
        "NatsMemory",
        {f"gnatsd_varz_mem{{{NODES[0]}}}": f"{950 * 2**20}x30"},
        {f"gnatsd_varz_mem{{{NODES[0]}}}": f"{800 * 2**20}x30"},
        {"pod": "nats-0"},
        "15m",
    ),
    Case(
        "NatsStorage",
        {f"jetstream_server_total_message_bytes{{{NODES[0]}}}": f"{9 * 2**30}x30"},
        {f"jetstream_server_total_message_bytes{{{NODES[0]}}}": f"{7 * 2**30}x30"},
        {"pod": "nats-0"},
        "15m",
    ),
    Case(
        "NatsSlowConsumers",
        {f"gnatsd_varz_slow_consumers{{{NODES[0]}}}": "0x5 1x25"},
        {f"gnatsd_varz_slow_consumers{{{NODES[0]}}}": "3x30"},
        {"pod": "nats-0"},
        "10m",
    ),
]


@pytest.fixture
def groups(render: Render) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = render(*RULES).one("PrometheusRule", "shop")["spec"]["groups"]
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


def test_each_alert_fires_for_its_cause_and_not_without_it(
    groups: list[dict[str, Any]], tmp_path: Path
) -> None:
    rules = {r["alert"]: r for group in groups for r in group["rules"]}
    tests = [
        tried(case, rules[case.alert], caused=caused) for case in CASES for caused in (True, False)
    ]
    file = written(tmp_path / "rules.yaml", {"groups": groups})
    content = {"rule_files": [str(file)], "evaluation_interval": "1m", "tests": tests}
    promtool("test", "rules", written(tmp_path / "test.yaml", content))


def tried(case: Case, rule: dict[str, Any], *, caused: bool) -> dict[str, Any]:
    """What promtool is to try; what differs it tells by the name."""
    series = case.cause if caused else case.fine
    fired = {
        "exp_labels": {**case.labels, **rule["labels"]},
        "exp_annotations": {"summary": said(rule, case, series)},
    }
    expected = {"exp_alerts": [fired] if caused else []}
    return {
        "name": f"{case.alert} {'caused' if caused else 'fine'}",
        "interval": "1m",
        "input_series": [{"series": k, "values": v} for k, v in series.items()],
        "alert_rule_test": [{"eval_time": case.after, "alertname": case.alert} | expected],
    }


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


def test_what_may_have_no_pod_is_not_missed(render: Render) -> None:
    sleeping = "services.payments.autoscaling"
    sets = ("scaling.by=keda", f"{sleeping}.enabled=true", f"{sleeping}.minReplicas=0")
    [group] = render(*RULES[:1], *sets).one("PrometheusRule", "shop")["spec"]["groups"]
    [gone] = [rule for rule in group["rules"] if rule["alert"] == "Gone"]
    assert "notifications" in gone["expr"]
    assert "payments" not in gone["expr"]


def test_all_of_nats_is_missed_too(groups: list[dict[str, Any]], tmp_path: Path) -> None:
    """A rule that counts says nothing of nothing."""
    rules = written(tmp_path / "rules.yaml", {"groups": groups})
    fired = {"severity": "critical", "namespace": "shop"}
    about = {"eval_time": "10m", "alertname": "NatsNodeGone"}
    [rule] = [r for g in groups for r in g["rules"] if r["alert"] == "NatsNodeGone"]
    expected = [{"exp_labels": fired, "exp_annotations": rule["annotations"]}]
    test = {
        "interval": "1m",
        "input_series": [],
        "alert_rule_test": [about | {"exp_alerts": expected}],
    }
    promtool(
        "test",
        "rules",
        written(tmp_path / "test.yaml", {"rule_files": [str(rules)], "tests": [test]}),
    )
