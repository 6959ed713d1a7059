"""The settings files in ConfigMaps, read by the very code that pods run."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from jetmesh import Duration
from jetmesh.operate.helm.declared import chart_values
from jetmesh.operate.helm.text import values_yaml
from jetmesh.operate.project import Whole
from jetmesh.settings import Loaded, load_settings
from tests.deploy.conftest import Render, Rendered


def of_service(rendered: Rendered, whole: Whole, name: str, folder: Path) -> Loaded:
    """What the pods of a service read."""
    file = folder / "jetmesh.toml"
    file.write_text(rendered.one("ConfigMap", name)["data"]["jetmesh.toml"])
    [service] = [service for service in whole.services if service.name == name]
    return load_settings([service], file=file, environ={})


def of_provisioning(rendered: Rendered, whole: Whole, folder: Path) -> Loaded:
    """What the Job reads that makes streams and durables."""
    [name] = [name for name in rendered.kind("ConfigMap") if name.startswith("provision")]
    file = folder / "jetmesh.toml"
    file.write_text(rendered.one("ConfigMap", name)["data"]["jetmesh.toml"])
    return load_settings(whole.services, file=file, environ={}, whole=True)


def test_defaults_of_the_chart_are_those_of_the_code(
    render: Render, whole: Whole, tmp_path: Path
) -> None:
    loaded = of_provisioning(render(), whole, tmp_path)
    declared = {(h.service, h.name): h.policy for h in whole.topology.handlers}
    assert loaded.policies(whole.services) == declared


@pytest.mark.parametrize("name", ["order-validation", "payments", "notifications"])
def test_services_in_pods_only_verify_and_can_be_reached(
    render: Render, whole: Whole, tmp_path: Path, name: str
) -> None:
    settings = of_service(render(), whole, name, tmp_path).settings
    assert settings.provision == "verify"
    assert (settings.http.host, settings.http.port) == ("0.0.0.0", 8080)  # noqa: S104 - in a pod
    assert settings.http.health_port == 8081
    assert settings.nats.url == "nats://nats:4222"


def test_a_pod_and_the_provisioning_job_expect_the_same_of_the_server(
    render: Render, whole: Whole, tmp_path: Path
) -> None:
    """Else a service would wait for ever for what nobody makes."""
    rendered = render(
        "services.payments.handlers.charge.ackWait=45s",
        "services.payments.handlers.charge.maxAckPending=64",
        "streams.ORDERS.maxAge=365d",
        "nats.nodes=1",
    )
    job = of_provisioning(rendered, whole, tmp_path)
    for service in whole.services:
        pod = of_service(rendered, whole, service.name, tmp_path)
        for handler, policy in pod.policies([service]).items():
            assert job.policies(whole.services)[handler] == policy
        tunings = pod.stream_tunings()
        assert tunings == {name: job.stream_tunings()[name] for name in tunings}
    assert job.policies(whole.services)["payments", "charge"].ack_wait == Duration(45)
    assert job.stream_tunings()["ORDERS"].max_age == Duration.parse("365d")


def test_every_value_of_a_handler_reaches_its_pods(
    render: Render, whole: Whole, tmp_path: Path
) -> None:
    path = "services.payments.handlers.charge"
    given = {
        "attempts": 3,
        "backoff": "1s",
        "backoffCap": "2s",
        "timeout": "3s",
        "maxAge": "4h",
        "rejects": "{ValueError}",
        "ackWait": "5s",
        "maxAckPending": 6,
        "concurrency": 6,
        "batch": 7,
    }
    values = yaml.safe_load(values_yaml(chart_values(whole.system, whole.topology)))
    assert given.keys() == values["services"]["payments"]["handlers"]["charge"].keys()
    rendered = render(*(f"{path}.{name}={value}" for name, value in given.items()))
    loaded = of_service(rendered, whole, "payments", tmp_path)
    payments = [s for s in whole.services if s.name == "payments"]
    policy = loaded.policies(payments)["payments", "charge"]
    assert [str(getattr(policy, name)) for name in policy.__struct_fields__] == [
        "3",
        "1s",
        "2s",
        "3s",
        "4h",
        "('ValueError',)",
        "5s",
        "6",
        "6",
        "7",
    ]


@pytest.mark.parametrize(("nodes", "copies"), [(1, 1), (3, 3), (5, 3)])
def test_streams_have_as_many_copies_as_nodes_and_three_at_most(
    render: Render, whole: Whole, tmp_path: Path, nodes: int, copies: int
) -> None:
    loaded = of_provisioning(render(f"nats.nodes={nodes}"), whole, tmp_path)
    assert {tuning.replicas for tuning in loaded.stream_tunings().values()} == {copies}


def test_what_is_said_of_one_stream_is_kept(render: Render, whole: Whole, tmp_path: Path) -> None:
    rendered = render("streams.ORDERS.replicas=1", "streams.ORDERS.maxBytes=10737418240")
    tunings = of_provisioning(rendered, whole, tmp_path).stream_tunings()
    assert (tunings["ORDERS"].replicas, tunings["PAYMENTS"].replicas) == (1, 3)
    assert tunings["ORDERS"].max_bytes == 10 * 2**30


def test_sandboxes_stand_in_only_for_what_is_not_set(
    render: Render, whole: Whole, tmp_path: Path
) -> None:
    rendered = render("services.payments.settings.gateway_url=https://gateway.example.test")
    payments = of_service(rendered, whole, "payments", tmp_path).settings.services["payments"]
    assert payments.settings["gateway_url"] == "https://gateway.example.test"
    told = of_service(rendered, whole, "notifications", tmp_path).settings.services["notifications"]
    assert (told.settings["smtp_host"], told.settings["smtp_port"]) == ("sandbox-mail", 1025)


def test_tables_among_settings_stay_tables(render: Render, whole: Whole, tmp_path: Path) -> None:
    rendered = render("services.order-validation.settings.ceilings.JPY=15000000")
    name = "order-validation"
    settings = of_service(rendered, whole, name, tmp_path).settings.services[name].settings
    assert settings["ceilings"] == {"JPY": 15000000}


def test_the_business_dashboard_links_to_the_pages_that_are_reached(
    render: Render, whole: Whole, tmp_path: Path
) -> None:
    ingress = "services.customer-dashboard.ingress"
    rendered = render(f"{ingress}.enabled=true", f"{ingress}.host=orders.example.test")
    name = "business-dashboard"
    settings = of_service(rendered, whole, name, tmp_path).settings.services[name].settings
    assert settings["customer_dashboard_url"] == "http://orders.example.test"


def test_pages_behind_an_ingress_answer_to_its_name_and_their_own(
    render: Render, whole: Whole, tmp_path: Path
) -> None:
    ingress = "services.customer-dashboard.ingress"
    rendered = render(f"{ingress}.enabled=true", f"{ingress}.host=orders.example.test")
    loaded = of_service(rendered, whole, "customer-dashboard", tmp_path)
    names = ["orders.example.test", "customer-dashboard", "localhost", "127.0.0.1"]
    assert list(loaded.http("customer-dashboard").allowed_hosts) == names
    other = of_service(rendered, whole, "business-dashboard", tmp_path)
    assert not other.http("business-dashboard").allowed_hosts


def test_what_opens_pages_reaches_them_in_a_secret_and_nowhere_else(render: Render) -> None:
    word = "a-word-that-opens"
    rendered = render(
        f"services.business-dashboard.secrets.access_token={word}",
        f"services.customer-dashboard.secrets.link_secret={word}",
    )
    for name, setting in (
        ("business-dashboard", "BUSINESS_DASHBOARD__SETTINGS__ACCESS_TOKEN"),
        ("customer-dashboard", "CUSTOMER_DASHBOARD__SETTINGS__LINK_SECRET"),
    ):
        secret = rendered.one("Secret", name)["stringData"]
        assert secret == {f"JETMESH__SERVICES__{setting}": word}
        assert word not in str(rendered.one("ConfigMap", name))
        assert word not in str(rendered.one("Deployment", name))


def test_a_change_rolls_the_pods_that_it_concerns_and_no_others(render: Render) -> None:
    def checksum(rendered: Rendered, name: str) -> str:
        template = rendered.one("Deployment", name)["spec"]["template"]
        return str(template["metadata"]["annotations"]["checksum/settings"])

    before, after = render(), render("services.payments.handlers.charge.ackWait=45s")
    assert checksum(before, "payments") != checksum(after, "payments")
    assert checksum(before, "notifications") == checksum(after, "notifications")
    purchases = render("streams.PURCHASES.maxAge=30d")
    assert checksum(before, "order-validation") != checksum(purchases, "order-validation")
    assert checksum(before, "payments") == checksum(purchases, "payments")
