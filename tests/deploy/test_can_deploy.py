"""The hook that refuses code which cannot read what is stored, before anything has changed."""

from __future__ import annotations

from typing import Any

from jetmesh.cli.exits import FAILED
from tests.deploy.conftest import Helm, Object, Render, Rendered

OWN_NATS = "nats.url=nats://nats.example.test"
ON = "canDeploy.enabled=true"


def named(rendered: Rendered, kind: str) -> Object:
    return rendered.one(kind, "can-deploy")


def annotation(found: Object, name: str) -> Any:
    return found["metadata"]["annotations"][f"helm.sh/{name}"]


def test_it_is_there_only_when_it_is_asked_for(render: Render) -> None:
    assert "can-deploy" not in render(OWN_NATS).kind("Job")
    assert "can-deploy" in render(OWN_NATS, ON).kind("Job")


def test_a_nats_that_is_not_there_yet_is_not_asked(render: Render) -> None:
    """Without a cluster helm sees none, and the first release of the bundled one brings it."""
    assert "can-deploy" not in render(ON).kind("Job")


def test_it_comes_before_an_upgrade_and_a_rollback_changes_anything(render: Render) -> None:
    rendered = render(OWN_NATS, ON)
    job = named(rendered, "Job")
    assert annotation(job, "hook") == "pre-upgrade,pre-rollback"
    assert annotation(job, "hook-output-log-policy") == "hook-failed", "the sentence is shown"
    others = [named(rendered, kind) for kind in ("ConfigMap", "NetworkPolicy")]
    for each in others:
        assert annotation(each, "hook") == annotation(job, "hook")
        assert int(annotation(each, "hook-weight")) < int(annotation(job, "hook-weight"))
    provisioning = [
        each
        for name, each in [*rendered.kind("Job").items(), *rendered.kind("ConfigMap").items()]
        if name == "provision-before"
    ]
    assert len(provisioning) == 2
    for each in provisioning:
        weight = each["metadata"]["annotations"].get("helm.sh/hook-weight", "0")
        assert int(annotation(job, "hook-weight")) < int(weight)


def test_a_no_ends_it_at_once_and_what_is_not_known_is_asked_again(render: Render) -> None:
    spec = named(render(OWN_NATS, ON), "Job")["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    refused, lost = spec["podFailurePolicy"]["rules"]
    assert refused["action"] == "FailJob"
    assert refused["onExitCodes"]["containerName"] == container["name"]
    assert (refused["onExitCodes"]["operator"], refused["onExitCodes"]["values"]) == (
        "In",
        [FAILED],
    )
    assert lost["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert spec["backoffLimit"] > 0


def test_it_asks_as_the_operator_with_the_settings_and_pods_of_provisioning(
    render: Render,
) -> None:
    sets = (OWN_NATS, ON, "nats.credentials.kind=password", "nats.credentials.secret=all")
    rendered = render(*sets, "nats.credentials.adminSecret=admin", "canDeploy.accept=3")
    job, provision = named(rendered, "Job"), rendered.one("Job", "provision-before")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    (other,) = provision["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["jetmesh", "can-deploy", "--accept=3"]
    assert container["env"] == other["env"]
    assert "admin" in str(container["env"])
    assert container["securityContext"] == other["securityContext"]
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert labels == provision["spec"]["template"]["metadata"]["labels"], "policies let it in"
    settings = rendered.one("ConfigMap", "can-deploy")["data"]
    assert settings == rendered.one("ConfigMap", "provision-before")["data"]


def test_less_than_nothing_is_not_accepted(helm: Helm, chart: Any) -> None:
    done = helm("template", "shop", chart, f"--set={OWN_NATS}", "--set=canDeploy.accept=-1")
    assert done.returncode != 0
    assert "accept" in done.stderr
