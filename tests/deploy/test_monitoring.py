"""What Prometheus and Grafana are told exists: metrics that services really have."""

from __future__ import annotations

import json
import re

import pytest

from jetmesh.operate.project import Whole
from jetmesh.runtime.prometheus import ServiceCollector, exposition
from jetmesh.runtime.running import Running
from jetmesh.settings import load_settings
from tests.deploy.conftest import Render, Rendered

_metric = re.compile(r"\bjetmesh_[a-z_]+")
ALL = ("monitoring.podMonitor=true", "monitoring.rules=true", "monitoring.dashboard=true")


@pytest.fixture
def rendered(render: Render) -> Rendered:
    return render(*ALL, "monitoring.labels.release=prometheus")


@pytest.fixture
async def exposed(whole: Whole) -> set[str]:
    """The names of every metric of a service."""
    [payments] = [service for service in whole.services if service.name == "payments"]
    loaded = load_settings([payments], environ={"JETMESH__HTTP__PORT": "0"})
    running = Running(payments, loaded)
    try:
        collector = ServiceCollector("payments", [], [], running._plane, lambda: True)
        return {
            line.split()[2]
            for line in exposition(collector).decode().splitlines()
            if line.startswith("# TYPE")
        }
    finally:
        await running.http.stop()


def asked(text: str) -> set[str]:
    return {re.sub("_bucket$", "", name) for name in _metric.findall(text)}


def test_every_metric_that_rules_and_dashboard_ask_for_exists(
    rendered: Rendered, exposed: set[str]
) -> None:
    rules = rendered.one("PrometheusRule", "shop")["spec"]
    expressions = " ".join(rule["expr"] for group in rules["groups"] for rule in group["rules"])
    board = rendered.one("ConfigMap", "shop-grafana")["data"]["shop.json"]
    assert asked(expressions)
    assert asked(expressions) | asked(board) <= exposed


def test_rules_watch_what_people_have_to_know(rendered: Rendered) -> None:
    [group] = rendered.one("PrometheusRule", "shop")["spec"]["groups"]
    assert [rule["alert"] for rule in group["rules"]] == [
        "MessagesWait",
        "DeadLetters",
        "NotReady",
        "Gone",
        "NotScheduled",
        "MessagesOld",
        "DependencyAway",
        "PublishesWait",
        "SecondOutcomes",
        "EventsSkipped",
    ]
    assert all("{{ $labels." in rule["annotations"]["summary"] for rule in group["rules"])
    assert all('namespace="shop"' in rule["expr"] for rule in group["rules"])


def test_the_dashboard_is_whole_and_its_panels_do_not_overlap(rendered: Rendered) -> None:
    board = json.loads(rendered.one("ConfigMap", "shop-grafana")["data"]["shop.json"])
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in board["panels"]}) == len(places)


def test_metrics_are_read_from_the_services_pods(rendered: Rendered, whole: Whole) -> None:
    spec = rendered.one("PodMonitor", "shop")["spec"]
    [names] = spec["selector"]["matchExpressions"]
    assert names["values"] == sorted(service.name for service in whole.services)
    [endpoint] = spec["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["path"]) == ("health", "/metrics")


def test_the_operators_labels_are_added(rendered: Rendered) -> None:
    for kind, name in (("PodMonitor", "shop"), ("PrometheusRule", "shop")):
        assert rendered.one(kind, name)["metadata"]["labels"]["release"] == "prometheus"
