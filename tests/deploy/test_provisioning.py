"""The Job that makes streams and durables: a hook where NATS is there, else part of the release."""

from __future__ import annotations

from typing import Any

from jetmesh import Duration
from tests.deploy.conftest import Object, Render, Rendered

OWN_NATS = "nats.url=nats://nats.example.test"


def job(rendered: Rendered) -> Object:
    [found] = rendered.kind("Job").values()
    return found


def hooks(found: Object) -> str:
    annotations: dict[str, Any] = found["metadata"].get("annotations", {})
    return str(annotations.get("helm.sh/hook", ""))


def test_with_the_nats_of_this_release_it_is_part_of_the_release(render: Render) -> None:
    """No hook before the installation could find a NATS that is still to come."""
    assert hooks(job(render())) == ""


def test_where_nats_is_there_already_it_comes_before_everything_else(render: Render) -> None:
    rendered = render(OWN_NATS)
    assert hooks(job(rendered)) == "pre-install,pre-upgrade,pre-rollback"
    needed = rendered.one("ConfigMap", job(rendered)["metadata"]["name"])
    assert hooks(needed) == hooks(job(rendered))
    assert int(needed["metadata"]["annotations"]["helm.sh/hook-weight"]) < 0


def test_its_name_changes_with_what_it_does_because_jobs_cannot_be_changed(render: Render) -> None:
    first = job(render())["metadata"]["name"]
    assert job(render("logLevel=info"))["metadata"]["name"] == first
    changed = [
        "services.payments.handlers.charge.ackWait=45s",
        "streams.ORDERS.maxAge=365d",
        "image=shop:1.0.1",
        "provision.allowDataLoss=true",
    ]
    names = {job(render(value))["metadata"]["name"] for value in changed}
    assert len(names | {first}) == len(changed) + 1


def test_data_is_lost_only_when_that_is_said(render: Render) -> None:
    def arguments(rendered: Rendered) -> list[str]:
        [container] = job(rendered)["spec"]["template"]["spec"]["containers"]
        return list(container["args"])

    assert "--allow-data-loss" not in arguments(render())
    assert "--allow-data-loss" in arguments(render("provision.allowDataLoss=true"))


def test_it_waits_for_nats_and_not_for_what_is_refused(render: Render) -> None:
    """A refused upgrade ends with the first pod, a pod that its machine lost is made again."""
    for rendered, expected in ((render(), "9m"), (render(OWN_NATS), "2m")):
        spec = job(rendered)["spec"]
        [container] = spec["template"]["spec"]["containers"]
        option, wait = container["args"][2:4]
        assert (option, wait) == ("--wait", expected)
        assert Duration.parse(wait) < spec["activeDeadlineSeconds"]
        refused, lost = spec["podFailurePolicy"]["rules"]
        assert refused["action"] == "FailJob"
        assert refused["onExitCodes"]["containerName"] == container["name"]
        assert refused["onExitCodes"]["operator"] == "NotIn"
        assert 1 not in refused["onExitCodes"]["values"]
        assert lost["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
        assert spec["template"]["spec"]["restartPolicy"] == "Never"
