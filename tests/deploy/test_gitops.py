"""What Argo CD and `kubectl apply` get: rendered without a look at the cluster, again and again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.deploy.conftest import ROOT, Helm, Object, Render, Rendered

WAVE = "argocd.argoproj.io/sync-wave"


def passwords(helm: Helm, chart: Path, *options: str) -> dict[str, str]:
    done = helm("template", "shop", chart, "--namespace", "shop", *options)
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = Rendered(done.stdout).one("Secret", "nats")["stringData"]
    return found


def test_a_password_that_would_be_another_one_each_time_is_refused(helm: Helm, chart: Path) -> None:
    for options in ((), ("--set=nats.passwords.clients=pGiven",)):
        refused = helm("template", "shop", chart, *options)
        assert refused.returncode == 1
        assert "nats.existingSecret is missing: without a look at the cluster" in refused.stderr


def test_passwords_of_a_seed_are_the_same_each_time_and_different_from_one_another(
    helm: Helm, chart: Path
) -> None:
    seed = "--set=nats.passwords.seed=twenty-characters-or-more"
    found = passwords(helm, chart, seed)
    assert found == passwords(helm, chart, seed)
    assert len(set(found.values())) == len(found)
    assert all(text.isalnum() and text[0].isalpha() for text in found.values())
    assert not set(found.values()) & set(passwords(helm, chart, f"{seed}!").values())
    given = passwords(helm, chart, seed, "--set=nats.passwords.operator=pGiven")
    assert given == found | {"operator": "pGiven"}


def test_a_secret_of_ones_own_needs_no_seed(helm: Helm, chart: Path) -> None:
    done = helm("template", "shop", chart, "--set=nats.existingSecret=mine")
    assert done.returncode == 0, done.stderr
    assert "nats" not in Rendered(done.stdout).kind("Secret")


def test_no_overlay_knows_a_password() -> None:
    for overlay in (ROOT / "deploy" / "k8s" / "overlays").iterdir():
        found = Rendered((overlay / "objects.yaml").read_text())
        assert "Secret" not in {o["kind"] for o in found.objects}, overlay


def test_what_buys_something_is_not_in_what_kubectl_is_given(render: Render) -> None:
    assert "Pod" not in {o["kind"] for o in render().objects}
    pod = render("test.enabled=always").one("Pod", "example")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert pod["metadata"]["annotations"]["argocd.argoproj.io/hook"] == "Skip"
    assert "Pod" not in {o["kind"] for o in render("test.enabled=never").objects}


def wave(found: Object) -> int:
    annotations: dict[str, Any] = found["metadata"].get("annotations") or {}
    return int(annotations.get(WAVE, 0))


def test_argo_cd_starts_nats_before_the_streams_and_these_before_the_services(
    render: Render,
) -> None:
    """It waits for each wave, so what NATS needs has to come with it."""
    waves = {(o["kind"], o["metadata"]["name"]): wave(o) for o in render().objects}
    assert {number for (_, name), number in waves.items() if name.startswith("nats")} == {-2}
    assert {number for (_, name), number in waves.items() if name.startswith("prov")} == {-1}
    others = {n for (_, name), n in waves.items() if not name.startswith(("nats", "prov"))}
    assert others == {0}


def test_a_job_that_runs_otherwise_has_another_name_because_it_cannot_be_changed(
    render: Render,
) -> None:
    def name(*sets: str) -> str:
        [found] = render(*sets).kind("Job")
        return found

    changes = ["nodeSelector.disk=ssd", "provision.resources.limits.memory=1Gi", "podLabels.a=b"]
    assert len({name(), *map(name, changes)}) == len(changes) + 1
