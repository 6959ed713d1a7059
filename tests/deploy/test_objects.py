"""The rendered objects: valid, and sound in what no schema of Kubernetes says."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest

from jetmesh.operate.project import Whole
from tests.deploy.conftest import PRODUCTION, Helm, Object, Render, Rendered

SERVICES = (
    "business-dashboard",
    "customer-dashboard",
    "fulfilment",
    "loyalty",
    "notifications",
    "order-validation",
    "payments",
)
KEDA = ("keda.sh/v1alpha1",)
SCALED = tuple(f"services.{name}.autoscaling.enabled=true" for name in SERVICES)
EVERYTHING = (
    *SCALED,
    "monitoring.podMonitor=true",
    "monitoring.rules=true",
    "monitoring.dashboard=true",
    "services.payments.secrets.gateway_key=k1",
    "services.business-dashboard.ingress.enabled=true",
    "services.business-dashboard.ingress.host=shop.example.test",
    "services.business-dashboard.ingress.tlsSecret=tls",
    "imagePullSecrets={registry}",
    "nodeSelector.disk=ssd",
    "priorityClass=high",
    "services.payments.env.TZ=UTC",
    "test.enabled=always",
    "nats.exporter.enabled=true",
)
OWN_NATS = (
    "nats.url=tls://a.example.test:4223\\,tls://b.example.test",
    "nats.credentials.kind=creds",
    "nats.credentials.secret=mesh",
    "nats.credentials.adminSecret=mesh-admin",
    "nats.tls.secret=ca",
)
SETS = {
    "defaults": (),
    "production": PRODUCTION,
    "everything": EVERYTHING,
    "own nats": OWN_NATS,
    "one node": ("nats.nodes=1",),
}
CUSTOM = {"ScaledObject", "PodMonitor", "PrometheusRule"}

_name = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_memory = re.compile(r"[0-9]+(Ki|Mi|Gi)")
_cpu = re.compile(r"[0-9]+m|[0-9]+")


@pytest.fixture(params=SETS.values(), ids=list(SETS))
def rendered(request: pytest.FixtureRequest, render: Render) -> Rendered:
    return render(*request.param)


def containers(pod: Object) -> list[Object]:
    return [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]


def matches(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return bool(selector) and selector.items() <= labels.items()


def test_helm_finds_nothing_to_complain_about(helm: Helm, chart: Path) -> None:
    linted = helm("lint", "--strict", chart)
    assert linted.returncode == 0, linted.stdout


def test_every_object_keeps_the_schema_of_kubernetes(rendered: Rendered, tmp_path: Path) -> None:
    file = tmp_path / "rendered.yaml"
    file.write_text(rendered.text)
    program = Path(sys.executable).with_name("kubernetes-validate")
    done = subprocess.run(
        [program, "--strict", "--quiet", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_names_are_names_and_used_once(rendered: Rendered) -> None:
    names = [(o["kind"], o["metadata"]["name"]) for o in rendered.objects]
    assert [name for _, name in names if not _name.fullmatch(name) or len(name) > 63] == []
    assert len(set(names)) == len(names)


def test_selectors_find_the_pods_they_mean(rendered: Rendered) -> None:
    """The labels of a Deployment's own pods, and of nobody else's."""
    labels = {name: pod["metadata"]["labels"] for name, pod in rendered.workloads()}
    for kind in ("Deployment", "StatefulSet"):
        for name, found in rendered.kind(kind).items():
            selector = found["spec"]["selector"]["matchLabels"]
            assert [o for o, each in labels.items() if matches(selector, each)] == [
                f"{kind}/{name}"
            ]
    for kind in ("PodDisruptionBudget", "NetworkPolicy"):
        for name, found in rendered.kind(kind).items():
            spec = found["spec"]
            selector = (spec.get("selector") or spec["podSelector"])["matchLabels"]
            found_pods = [o for o, each in labels.items() if matches(selector, each)]
            assert len(found_pods) == 1, name
            assert name.startswith(labels[found_pods[0]]["app.kubernetes.io/name"])


def test_a_service_leads_to_a_port_that_a_container_opens(rendered: Rendered) -> None:
    pods = [pod for _, pod in rendered.workloads()]
    for name, service in rendered.kind("Service").items():
        behind = [p for p in pods if matches(service["spec"]["selector"], p["metadata"]["labels"])]
        assert behind, name
        open_ports = {
            port["name"]
            for pod in behind
            for container in containers(pod)
            for port in container.get("ports", [])
        }
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= open_ports


def test_probes_ask_ports_that_are_open_and_pages_that_exist(rendered: Rendered) -> None:
    for name, pod in rendered.workloads():
        for container in containers(pod):
            ports = {port["name"] for port in container.get("ports", [])}
            probes = [value for key, value in container.items() if key.endswith("Probe")]
            assert {probe["httpGet"]["port"] for probe in probes} <= ports
            if name.startswith("Deployment/") and "sandbox" not in name:
                assert {probe["httpGet"]["port"] for probe in probes} == {"health"}
                asked = {k: v["httpGet"]["path"] for k, v in container.items() if "Probe" in k}
                assert asked == {
                    "startupProbe": "/healthz",
                    "livenessProbe": "/healthz",
                    "readinessProbe": "/readyz",
                }


def test_no_pod_has_a_privilege(rendered: Rendered) -> None:
    """What Pod Security `restricted` asks for, and a root that cannot be written."""
    for name, pod in rendered.workloads():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert {kind for volume in spec["volumes"] for kind in volume} <= {
            "name",
            "configMap",
            "secret",
            "emptyDir",
        }
        for container in containers(pod):
            granted = dict(container["securityContext"])
            assert granted.pop("runAsUser", 1) > 0, "nobody is root"
            assert granted == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_every_container_says_what_it_needs_in_units(rendered: Rendered) -> None:
    for name, pod in rendered.workloads():
        for container in containers(pod):
            amounts = container["resources"]
            assert _cpu.fullmatch(str(amounts["requests"]["cpu"])), name
            assert _memory.fullmatch(amounts["requests"]["memory"])
            assert _memory.fullmatch(amounts["limits"]["memory"])
            assert "cpu" not in amounts["limits"]


def test_what_pods_mount_and_read_is_there(rendered: Rendered) -> None:
    """ConfigMaps and Secrets of the release; those that an administrator brings are named."""
    brought = {"mesh", "mesh-admin", "ca"}
    maps, secrets = rendered.kind("ConfigMap"), rendered.kind("Secret").keys() | brought
    for _, pod in rendered.workloads():
        volumes = pod["spec"]["volumes"]
        assert {v["configMap"]["name"] for v in volumes if "configMap" in v} <= maps.keys()
        assert {v["secret"]["secretName"] for v in volumes if "secret" in v} <= secrets
        mounted = {m["name"] for c in containers(pod) for m in c.get("volumeMounts", [])}
        claims = {"data"} if "data" in mounted - {v["name"] for v in volumes} else set()
        assert mounted == {v["name"] for v in volumes} | claims
        for variable in chain.from_iterable(c.get("env", []) for c in containers(pod)):
            key = variable.get("valueFrom", {}).get("secretKeyRef")
            if key and key["name"] not in brought:
                assert key["key"] in rendered.one("Secret", key["name"])["stringData"]


def test_a_pod_may_drain_before_it_is_killed(render: Render) -> None:
    for grace, linger, seconds in (("20s", "5s", 35), ("1.5m", "0s", 100), ("250ms", "1.5s", 12)):
        rendered = render(f"grace={grace}", f"linger={linger}")
        for found in rendered.kind("Deployment").values():
            if "sandbox" not in found["metadata"]["name"]:
                assert found["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == seconds


def test_a_rollout_never_takes_a_pod_away_before_the_next_is_ready(rendered: Rendered) -> None:
    for name in SERVICES:
        strategy = rendered.one("Deployment", name)["spec"]["strategy"]
        assert strategy["rollingUpdate"]["maxUnavailable"] == 0


def test_every_deployable_has_its_deployment(rendered: Rendered, whole: Whole) -> None:
    wanted = {service.name for service in whole.services}
    if any("sandbox" in name for name in rendered.kind("Deployment")):
        wanted |= {sandbox.name for sandbox in whole.system.sandboxes}
    assert rendered.kind("Deployment").keys() == wanted
    for name in wanted:
        spec = rendered.one("Deployment", name)["spec"]["template"]["spec"]
        assert spec["containers"][0]["args"] == [name]


def test_production_runs_no_sandbox(render: Render) -> None:
    rendered = render(*PRODUCTION)
    assert [o for o in rendered.objects if "sandbox" in o["metadata"]["name"]] == []


def test_custom_objects_only_come_where_they_are_asked_for(render: Render) -> None:
    assert not CUSTOM & {o["kind"] for o in render().objects}
    asked = {o["kind"] for o in render(*EVERYTHING, apis=KEDA).objects}
    assert asked >= CUSTOM
