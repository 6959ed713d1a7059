"""kubectl apply -k of the committed manifests: nothing else is needed."""

from __future__ import annotations

from uuid import uuid4

import yaml

from tests.deploy.cluster.kube import SECONDS, Namespace, eventually
from tests.deploy.cluster.purchases import each_ends_once, go_on, purchases
from tests.deploy.conftest import CHART, ROOT

OVERLAYS = ROOT / "deploy" / "k8s" / "overlays"


def test_the_development_overlay_runs_the_whole_shop_and_may_be_applied_again(
    empty: Namespace,
) -> None:
    with_passwords(empty)
    empty.kubectl("apply", "-k", OVERLAYS / "development")
    empty.kubectl(
        "wait", "deployments", "--all", "--for=condition=Available", f"--timeout={SECONDS:g}s"
    )
    with purchases(empty, "applied", rate=20) as published:
        go_on()
        before = generations(empty)
        empty.kubectl("apply", "-k", OVERLAYS / "development")
        assert generations(empty) == before, "kubectl says `configured` where nothing changes, too"
    each_ends_once(empty, "applied", published)
    empty.kubectl("delete", "-k", OVERLAYS / "development", "--wait=true")
    empty.kubectl("delete", "secret", "nats")


def with_passwords(space: Namespace) -> None:
    facts = yaml.safe_load((CHART / "files" / "topology.yaml").read_text())
    names = ("routes", *facts["identities"])
    given = [f"--from-literal={who}=p{uuid4().hex}" for who in names]
    space.kubectl("create", "secret", "generic", "nats", *given)


def generations(space: Namespace) -> dict[str, int]:
    """How often what was asked of each workload has changed."""
    found = space.get("deployments,statefulsets,jobs,poddisruptionbudgets,networkpolicies")["items"]
    about = [each["metadata"] | {"kind": each["kind"]} for each in found]
    return {f"{each['kind']}/{each['name']}": each["generation"] for each in about}


def test_the_production_overlay_is_taken_by_the_server_to_the_last_field(empty: Namespace) -> None:
    dry = ("apply", "-k", OVERLAYS / "production", "--dry-run=server", "--validate=strict")
    taken = empty.kubectl(*dry)
    assert "statefulset.apps/nats created (server dry run)" in taken
    assert "sandbox" not in taken


def test_a_pod_of_production_without_its_secret_names_what_is_missing(empty: Namespace) -> None:
    empty.kubectl("apply", "-k", OVERLAYS / "production")

    def told() -> str:
        return empty.kubectl("get", "events", "--field-selector=type=Warning")

    eventually(lambda: 'secret "nats" not found' in told(), told)
    with_passwords(empty)  # each pod mounts its own first of all
    eventually(lambda: 'secret "notifications" not found' in told(), told)
    empty.kubectl("delete", "-k", OVERLAYS / "production", "--wait=false")
