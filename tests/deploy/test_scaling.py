"""Who owns the number of pods: values, KEDA by the durables' lag, or the use of CPU."""

from __future__ import annotations

from jetmesh.operate.project import Whole
from tests.deploy.conftest import Render

KEDA = ("keda.sh/v1alpha1",)
SERVICES = ("order-validation", "payments", "notifications", "business-dashboard")
SCALED = tuple(f"services.{name}.autoscaling.enabled=true" for name in SERVICES)


def test_replicas_are_left_out_exactly_where_an_autoscaler_owns_them(render: Render) -> None:
    """helm applies server-side: a number of ours would conflict with the autoscaler's."""
    deployments = render(*SCALED).kind("Deployment")
    assert all("replicas" not in deployments[name]["spec"] for name in SERVICES)
    assert deployments["customer-dashboard"]["spec"]["replicas"] == 2


def test_every_durable_has_its_trigger(render: Render, whole: Whole) -> None:
    every = [f"services.{s.name}.autoscaling.enabled=true" for s in whole.topology.services]
    scaled = render(*every, apis=KEDA).kind("ScaledObject")
    triggers = [
        (trigger["metadata"]["stream"], trigger["metadata"]["consumer"])
        for found in scaled.values()
        for trigger in found["spec"]["triggers"]
    ]
    assert sorted(triggers) == sorted((d.stream, d.name) for d in whole.topology.durables)


def test_keda_asks_the_nodes_of_the_bundled_nats(render: Render) -> None:
    rendered = render(*SCALED, apis=KEDA)
    scaled = rendered.one("ScaledObject", "payments")
    nodes = rendered.one("Service", "nats-nodes")
    for trigger in scaled["spec"]["triggers"]:
        about = trigger["metadata"]
        assert about["natsServerMonitoringEndpoint"] == "nats-nodes.shop.svc:8222"
        assert {"name": "monitoring", "port": 8222, "targetPort": "monitoring"} in nodes["spec"][
            "ports"
        ]
        assert f'"{about["account"]}": {{' in rendered.one("ConfigMap", "nats")["data"]["nats.conf"]
        assert all(isinstance(value, str) for value in about.values())
    assert scaled["spec"]["scaleTargetRef"] == {"name": "payments"}


def test_a_service_without_pages_may_scale_to_zero(render: Render) -> None:
    values = (*SCALED, "services.payments.autoscaling.minReplicas=0")
    assert (
        render(*values, apis=KEDA).one("ScaledObject", "payments")["spec"]["minReplicaCount"] == 0
    )


def test_pods_end_only_after_the_cooldown(render: Render) -> None:
    """Kubernetes waits five minutes by itself, which is long for work that comes in bursts."""
    values = (*SCALED, "services.payments.autoscaling.cooldown=1.5m")
    keda = render(*values, apis=KEDA).one("ScaledObject", "payments")["spec"]
    behaviour = {"scaleDown": {"stabilizationWindowSeconds": 90}}
    assert keda["cooldownPeriod"] == 90
    assert keda["advanced"]["horizontalPodAutoscalerConfig"]["behavior"] == behaviour
    plain = render(*values).one("HorizontalPodAutoscaler", "payments")["spec"]
    assert plain["behavior"] == behaviour


def test_without_keda_the_use_of_cpu_decides(render: Render) -> None:
    rendered = render(*SCALED)
    assert not rendered.kind("ScaledObject")
    spec = rendered.one("HorizontalPodAutoscaler", "payments")["spec"]
    assert spec["scaleTargetRef"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "payments",
    }
    assert spec["minReplicas"] <= spec["maxReplicas"]


def test_what_has_no_durables_is_scaled_by_cpu_even_with_keda(render: Render) -> None:
    rendered = render(*SCALED, apis=KEDA)
    assert rendered.kind("HorizontalPodAutoscaler").keys() == {"business-dashboard"}
