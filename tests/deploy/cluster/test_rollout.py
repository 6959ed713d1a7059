"""A rollout loses no page request; and the chart runs as a part of another one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import yaml

from tests.deploy.cluster.kube import SECONDS, SMALL, Namespace, eventually
from tests.deploy.cluster.purchases import each_ends_once, go_on, purchases
from tests.deploy.conftest import CHART

VISITOR = Path(__file__).with_name("visitor.py")


def test_two_restarts_of_a_dashboard_lose_no_request(small: Namespace) -> None:
    name = "customer-dashboard"  # its first page wants no login
    [pod] = small.pods(name)
    image = pod["spec"]["containers"][0]["image"]
    script = {"visitor.py": VISITOR.read_text()}
    about = {"name": "visitor"}
    small.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": script})
    container = {
        "name": "visitor",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["/script/visitor.py", f"http://{name}/"],
        "securityContext": pod["spec"]["containers"][0]["securityContext"],
        "volumeMounts": [{"name": "script", "mountPath": "/script", "readOnly": True}],
    }
    spec = {
        "restartPolicy": "Never",
        "securityContext": pod["spec"]["securityContext"],
        "containers": [container],
        "volumes": [{"name": "script", "configMap": about}],
    }
    small.apply({"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": spec})

    def log() -> str:
        return small.run("kubectl", "logs", "visitor").stdout

    eventually(lambda: "publishing" in log(), log)
    for _ in range(2):
        go_on()
        small.kubectl("rollout", "restart", f"deployment/{name}")
        small.rolled_out(name)
        go_on(8.0)  # the old pod answers until its linger is over
    stop = "import os, signal; os.kill(1, signal.SIGTERM)"
    small.kubectl("exec", "visitor", "--", "python", "-c", stop)
    phase = "--for=jsonpath={.status.phase}=Succeeded"
    small.kubectl("wait", "pod/visitor", phase, "--timeout=60s")
    told = json.loads(log().splitlines()[-1])
    print(f"{told['answered']} answered")  # noqa: T201 - -s shows what was measured
    assert told["failed"] == []
    assert told["answered"] > 100


def test_the_chart_runs_as_a_part_of_another_one(empty: Namespace, tmp_path: Path) -> None:
    parent = tmp_path / "platform"
    shutil.copytree(CHART, parent / "charts" / "shop")
    needs = [{"name": "shop", "version": "1.0.0", "condition": "shop.enabled"}]
    about = {"apiVersion": "v2", "name": "platform", "version": "1.0.0", "dependencies": needs}
    (parent / "Chart.yaml").write_text(yaml.safe_dump(about))
    values = [f"--set=shop.{each}" for each in SMALL] + ["--set=global.team=shop"]
    timeout = f"--timeout={SECONDS:g}s"
    empty.helm("install", "platform", parent, *values, "--wait", timeout)
    with purchases(empty, "part", rate=20) as published:
        go_on()
    each_ends_once(empty, "part", published)
    assert "Succeeded" in empty.helm("test", "platform", timeout)


def test_the_authority_that_the_chart_made_is_kept(empty: Namespace) -> None:
    """Services, the Job and the test speak TLS, and an upgrade restarts nobody for another one."""
    values = (*SMALL, "nats.tls.generate=true")
    empty.release("install", *values)
    made = empty.get("secret/nats-tls")["data"]
    assert "Succeeded" in empty.helm("test", "shop", f"--timeout={SECONDS:g}s")
    empty.release("upgrade", *values)
    assert empty.get("secret/nats-tls")["data"] == made
    logs = empty.kubectl("logs", "deployment/payments")
    assert "started" in logs
