"""The chart as a part of another one, and in a cluster with rules of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from tests.deploy.conftest import SEED, Helm, Object, Render, Rendered
from tests.deploy.test_objects import SERVICES, containers

ROLE = "eks.amazonaws.com/role-arn"


@pytest.fixture
def parent(chart: Path, tmp_path: Path) -> Path:
    """A chart that holds ours."""
    shutil.copytree(chart, tmp_path / "platform" / "charts" / "shop")
    needs = [{"name": "shop", "version": "1.0.0", "condition": "shop.enabled"}]
    about = {"apiVersion": "v2", "name": "platform", "version": "3.0.0", "dependencies": needs}
    (tmp_path / "platform" / "Chart.yaml").write_text(yaml.safe_dump(about))
    values = {
        "global": {"imageRegistry": "registry.example.test"},
        "shop": {"enabled": True, "nats": {"passwords": {"seed": "a-seed-of-the-parent-chart"}}},
    }
    (tmp_path / "platform" / "values.yaml").write_text(yaml.safe_dump(values))
    return tmp_path / "platform"


def test_a_parent_chart_renders_what_the_chart_alone_does(
    helm: Helm, chart: Path, parent: Path
) -> None:
    within = helm("template", "shop", parent, "--namespace", "shop")
    assert within.returncode == 0, within.stderr
    seed = "--set=nats.passwords.seed=a-seed-of-the-parent-chart"
    alone = helm("template", "shop", chart, "--namespace", "shop", seed)
    as_they_are = {o["metadata"]["name"]: o for o in Rendered(within.stdout).objects}
    assert as_they_are == {o["metadata"]["name"]: o for o in Rendered(alone.stdout).objects}


def test_a_parent_chart_may_leave_it_out(helm: Helm, parent: Path) -> None:
    without = helm("template", "shop", parent, "--set=shop.enabled=false")
    assert without.returncode == 0, without.stderr
    assert Rendered(without.stdout).objects == []


def test_what_an_organisation_writes_on_everything_is_on_every_pod(render: Render) -> None:
    rendered = render("podLabels.team=shop", "podAnnotations.owner=a", "test.enabled=always")
    for name, pod in rendered.workloads():
        assert pod["metadata"]["labels"]["team"] == "shop", name
        assert pod["metadata"]["annotations"]["owner"] == "a", name


def test_a_label_of_ours_cannot_be_written_over(render: Render) -> None:
    rendered = render("podLabels.app\\.kubernetes\\.io/name=x")
    labels = rendered.one("Deployment", "payments")["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/name"] == "payments"


def test_one_service_runs_elsewhere_than_the_others(render: Render) -> None:
    rendered = render(
        "nodeSelector.disk=ssd",
        "tolerations[0].key=all",
        "tolerations[0].operator=Exists",
        "priorityClass=high",
        "services.payments.nodeSelector.zone=vault",
        "services.payments.tolerations[0].key=vault",
        "services.payments.tolerations[0].operator=Exists",
        "services.payments.priorityClass=highest",
    )

    def spec(kind: str, name: str) -> Object:
        pod: Object = rendered.one(kind, name)["spec"]["template"]["spec"]
        return pod

    payments, others = spec("Deployment", "payments"), spec("Deployment", "notifications")
    assert payments["nodeSelector"] == {"disk": "ssd", "zone": "vault"}
    assert [each["key"] for each in payments["tolerations"]] == ["all", "vault"]
    assert payments["priorityClassName"] == "highest"
    assert others["nodeSelector"] == spec("StatefulSet", "nats")["nodeSelector"] == {"disk": "ssd"}
    assert others["priorityClassName"] == "high"


def test_nodes_of_nats_stay_apart_unless_an_affinity_says_where(render: Render) -> None:
    def affinity(*sets: str) -> dict[str, object]:
        pod = render(*sets).one("StatefulSet", "nats")["spec"]["template"]["spec"]
        found: dict[str, object] = pod["affinity"]
        return found

    weight = (
        "nats.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight=1"
    )
    assert affinity().keys() == {"podAntiAffinity"}
    assert affinity(weight)["podAntiAffinity"] == affinity()["podAntiAffinity"]
    assert affinity(weight).keys() == {"nodeAffinity", "podAntiAffinity"}


def test_a_cloud_s_role_is_on_the_service_account(render: Render) -> None:
    key = ROLE.replace(".", "\\.")
    rendered = render(f"services.payments.serviceAccount.annotations.{key}=arn:x")
    assert rendered.one("ServiceAccount", "payments")["metadata"]["annotations"] == {ROLE: "arn:x"}
    assert "annotations" not in rendered.one("ServiceAccount", "notifications")["metadata"]


def test_where_a_quota_wants_limits_of_cpu_every_container_has_one(render: Render) -> None:
    where = [
        "nats",
        "nats.exporter",
        "sandbox",
        "provision",
        "test",
        *(f"services.{name}" for name in SERVICES),
    ]
    where.append("services.storefront")
    rendered = render(
        "test.enabled=always",
        "nats.exporter.enabled=true",
        *(f"{each}.resources.limits.cpu=1" for each in where),
    )
    for name, pod in rendered.workloads():
        assert {c["resources"]["limits"].get("cpu") for c in containers(pod)} == {1}, name


def test_standard_labels_are_on_every_object_and_no_version_on_a_pod(render: Render) -> None:
    """A label of a pod that changes with the chart would start every pod anew."""
    rendered = render("monitoring.rules=true")
    for found in rendered.objects:
        labels = found["metadata"]["labels"]
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert labels["app.kubernetes.io/part-of"] == "shop"
        assert labels["helm.sh/chart"] == "shop-1.0.0"
        assert labels["app.kubernetes.io/version"] == "1.0.0"
    for _, pod in rendered.workloads():
        assert not {"helm.sh/chart", "app.kubernetes.io/version"} & pod["metadata"]["labels"].keys()


def test_values_of_an_older_chart_name_the_service_that_they_lack(
    helm: Helm, chart: Path, tmp_path: Path
) -> None:
    """As `helm upgrade --reuse-values` has them: the old chart's in place of the new one's."""
    newer = tmp_path / "shop"
    shutil.copytree(chart, newer)
    values = yaml.safe_load((newer / "values.yaml").read_text())
    del values["services"]["customer-dashboard"]  # another service links to it
    (newer / "values.yaml").write_text(yaml.safe_dump(values))
    refused = helm("template", "shop", newer, SEED)
    assert refused.returncode == 1
    assert "services.customer-dashboard: no values;" in refused.stderr
    assert "use --reset-then-reuse-values." in refused.stderr
