"""Who may talk to whom, derived from the topology and the settings."""

from __future__ import annotations

from typing import Any

from tests.deploy.conftest import PRODUCTION, Render, Rendered

KUBE_DNS = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
    "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
}
DNS = {
    "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
    "to": [KUBE_DNS],
}


def egress(rendered: Rendered, name: str) -> list[dict[str, Any]]:
    """What a service may talk to, besides DNS, which all may."""
    found = rendered.one("NetworkPolicy", name)["spec"]["egress"]
    assert DNS in found
    return [rule for rule in found if rule != DNS]


def variables(rendered: Rendered, name: str) -> dict[str, str]:
    """What the chart tells a service's pods by variables."""
    [container] = rendered.one("Deployment", name)["spec"]["template"]["spec"]["containers"]
    names = [each["name"] for each in container["env"]]
    assert len(set(names)) == len(names), "the server refuses one that is there twice"
    return {each["name"]: each.get("value", "") for each in container["env"]}


def to(name: str, port: int) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/instance": "shop"}
    return {"to": [{"podSelector": {"matchLabels": labels}}], "ports": [{"port": port}]}


def test_a_service_without_effects_talks_to_nats_and_nobody_else(render: Render) -> None:
    for name in ("order-validation", "business-dashboard", "customer-dashboard"):
        assert egress(render(*PRODUCTION), name) == [to("nats", 4222)]


def test_only_payments_reaches_the_gateway_and_only_notifications_the_mail_server(
    render: Render,
) -> None:
    anywhere = [{"ipBlock": {"cidr": cidr}} for cidr in ("0.0.0.0/0", "::/0")]
    nats, gateway = egress(render(*PRODUCTION), "payments")
    assert gateway == {"ports": [{"port": 443}], "to": anywhere}
    nats, mail = egress(render(*PRODUCTION), "notifications")
    assert nats == to("nats", 4222)
    assert mail == {"ports": [{"port": 587}], "to": anywhere}


def test_where_servers_outside_are_can_be_said(render: Render) -> None:
    rendered = render(
        *PRODUCTION,
        "services.payments.settings.gateway_url=http://gateway.example.test:8443/v1",
        "services.payments.egressTo={192.0.2.0/24}",
    )
    assert egress(rendered, "payments")[1] == {
        "ports": [{"port": 8443}],
        "to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}],
    }


def test_the_sandbox_is_reached_instead_of_the_world(render: Render) -> None:
    assert egress(render(), "payments")[1] == to("sandbox-gateway", 8090)
    assert egress(render(), "notifications")[1] == to("sandbox-mail", 1025)


def test_only_pages_and_metrics_are_answered(render: Render) -> None:
    def ingress(rendered: Rendered, name: str) -> list[Any]:
        spec = rendered.one("NetworkPolicy", name)["spec"]
        assert "Ingress" in spec["policyTypes"], "without it everything may come in"
        return list(spec.get("ingress", []))

    assert ingress(render(), "payments") == []
    assert ingress(render(), "business-dashboard") == [{"ports": [{"port": "http"}]}]
    read = {"ports": [{"port": "health"}], "from": [{"namespaceSelector": {}}]}
    rendered = render("monitoring.podMonitor=true")
    assert ingress(rendered, "payments") == [read]
    assert ingress(rendered, "business-dashboard") == [{"ports": [{"port": "http"}]}, read]


def test_a_nats_elsewhere_is_reached_at_its_ports(render: Render) -> None:
    rendered = render("nats.url=tls://a.example.test:4223\\,tls://b.example.test")
    assert egress(rendered, "order-validation") == [{"ports": [{"port": 4223}, {"port": 4222}]}]
    assert "nats" not in rendered.kind("NetworkPolicy")
    rendered = render("nats.url=TLS://a.example.test:4223/\\, b.example.test:4224\\,")
    assert egress(rendered, "order-validation") == [{"ports": [{"port": 4223}, {"port": 4224}]}]


def test_a_collector_is_reached_at_its_port_by_every_service(render: Render) -> None:
    rendered = render(*PRODUCTION, "otel.endpoint=http://collector.example.test:4318")
    for name in ("payments", "business-dashboard"):
        assert {"ports": [{"port": 4318}]} in egress(rendered, name)
        assert variables(rendered, name)["OTEL_EXPORTER_OTLP_ENDPOINT"].endswith(":4318")
    without = render(*PRODUCTION)
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" not in variables(without, "payments")


def test_collectors_that_a_services_variables_name_are_reached(render: Render) -> None:
    env = "services.payments.env.OTEL_EXPORTER_OTLP_"
    assert {"ports": [{"port": 4317}]} in egress(render(f"{env}ENDPOINT=grpc:4317"), "payments")
    rendered = render(
        "otel.endpoint=http://collector.example.test:4318",
        f"{env}ENDPOINT=https://own.example.test",
        f"{env}METRICS_ENDPOINT=http://metrics.example.test/otlp",
        f"{env}TRACES_ENDPOINT=http://[2001:db8::1]:4320/v1/traces",
    )
    ports = {"ports": [{"port": 443}, {"port": 4320}, {"port": 80}]}
    assert ports in egress(rendered, "payments")
    assert variables(rendered, "payments")["OTEL_EXPORTER_OTLP_ENDPOINT"].startswith("https://own")
    assert {"ports": [{"port": 4318}]} in egress(rendered, "notifications")


def test_policies_can_be_left_out(render: Render) -> None:
    assert not render("networkPolicy.enabled=false").kind("NetworkPolicy")
