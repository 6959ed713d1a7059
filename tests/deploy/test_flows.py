"""In a namespace that allows nothing, the policies allow what the topology implies, no more."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, TypeAlias

import pytest

from jetmesh.operate.helm.outside import addresses
from jetmesh.operate.project import Whole
from tests.deploy.conftest import Object, Render, Rendered
from tests.deploy.test_objects import containers, matches

Flow: TypeAlias = tuple[str, str, int]
"""From the pods of a name to those of another, at a port."""


@pytest.fixture
def rendered(render: Render) -> Rendered:
    return render("test.enabled=always")


def name_of(pod: Object) -> str:
    return str(pod["metadata"]["labels"]["app.kubernetes.io/name"])


def implied(whole: Whole) -> set[Flow]:
    """Everybody asks NATS; a service asks the stand-ins of the servers that it talks to."""
    asking = [service.name for service in whole.services] + ["provision", "example"]
    flows = {(name, "nats", 4222) for name in asking} | {("nats", "nats", 6222)}
    ports = {sandbox.name: sandbox.ports for sandbox in whole.system.sandboxes}
    for name, outside in addresses(whole.system, whole.services).items():
        for address in outside:
            named = address.instead.get(address.port) or ports[address.sandbox]["http"]
            flows.add((name, address.sandbox, int(named)))
    return flows


def policies(rendered: Rendered, pod: Object) -> Iterator[Object]:
    for found in rendered.kind("NetworkPolicy").values():
        if matches(found["spec"]["podSelector"]["matchLabels"], pod["metadata"]["labels"]):
            yield found["spec"]


def meets(peers: list[dict[str, Any]], pod: Object) -> bool:
    """Whether peers are the pod of this namespace."""
    labels = pod["metadata"]["labels"]
    return any(
        "namespaceSelector" not in peer and matches(peer["podSelector"]["matchLabels"], labels)
        for peer in peers
        if "podSelector" in peer
    )


def open_ports(rendered: Rendered) -> Iterator[tuple[Object, str, int]]:
    for _, pod in rendered.workloads():
        for container in containers(pod):
            for port in container.get("ports", []):
                yield pod, port["name"], port["containerPort"]


def allowed(rendered: Rendered) -> set[Flow]:
    """Between pods of the release, to every port that one opens."""
    pods = [pod for _, pod in rendered.workloads()]
    flows = set()
    for source, (target, name, number) in product(pods, open_ports(rendered)):
        leaves = any(
            number in [port["port"] for port in rule["ports"]] and meets(rule.get("to", []), target)
            for spec in policies(rendered, source)
            for rule in spec.get("egress", [])
        )
        enters = any(
            {name, number} & {port["port"] for port in rule["ports"]}
            and ("from" not in rule or meets(rule["from"], source))
            for spec in policies(rendered, target)
            for rule in spec.get("ingress", [])
        )
        if leaves and enters:
            flows.add((name_of(source), name_of(target), number))
    return flows


def test_what_the_topology_implies_is_allowed_and_nothing_else(
    rendered: Rendered, whole: Whole
) -> None:
    assert allowed(rendered) == implied(whole)


def test_every_pod_has_a_policy_for_what_it_takes_and_for_what_it_asks(rendered: Rendered) -> None:
    for name, pod in rendered.workloads():
        kinds = [kind for spec in policies(rendered, pod) for kind in spec["policyTypes"]]
        assert sorted(kinds) == ["Egress", "Ingress"], name


def test_every_rule_names_its_ports(rendered: Rendered) -> None:
    for name, found in rendered.kind("NetworkPolicy").items():
        rules = [*found["spec"].get("ingress", []), *found["spec"].get("egress", [])]
        assert all(port.get("port") for rule in rules for port in rule["ports"]), name
        assert all(rule["ports"] for rule in rules), name


def test_whoever_asks_by_name_may_ask_dns_and_only_the_cluster_s(rendered: Rendered) -> None:
    for name, pod in rendered.workloads():
        asks = [
            rule["to"]
            for spec in policies(rendered, pod)
            for rule in spec.get("egress", [])
            if {"port": 53, "protocol": "UDP"} in rule["ports"]
        ]
        assert len(asks) == (0 if "sandbox" in name else 1), name
        for [peer] in asks:
            assert peer["podSelector"]["matchLabels"] == {"k8s-app": "kube-dns"}


def test_a_hook_that_comes_before_everything_brings_its_own_policy(render: Render) -> None:
    """Before the release there is no policy of it, and the namespace may allow nothing."""
    rendered = render("nats.url=nats://nats.example.test")
    policy = rendered.one("NetworkPolicy", "provision-before")["metadata"]["annotations"]
    job = rendered.one("Job", "provision-before")["metadata"]["annotations"]
    assert policy["helm.sh/hook"] == job["helm.sh/hook"]
    assert int(policy["helm.sh/hook-weight"]) < int(job.get("helm.sh/hook-weight", 0))
