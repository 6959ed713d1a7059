"""kubectl and helm on the cluster of KUBECONFIG, in one namespace."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from jetmesh.operate.up.ports import free_port
from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane
from tests.deploy.conftest import CHART, Object
from tests.programs import program
from tests.waiting import wait_until

SECONDS = 180.0
"""In which everything on a small, busy machine has come up."""
SMALL = (
    "nats.nodes=1",
    "nats.resources.requests.cpu=50m",
    "nats.storage.size=1Gi",
    "services.order-validation.replicas=1",
    "services.payments.replicas=1",
    "services.notifications.replicas=1",
    "services.fulfilment.replicas=1",
    "services.loyalty.replicas=1",
    "services.business-dashboard.replicas=1",
    "services.customer-dashboard.replicas=1",
    "services.storefront.replicas=1",
)
"""Values of a release that fits beside another one; every upgrade repeats them."""


@dataclass
class Namespace:
    """A namespace in which Pod Security `restricted` is enforced."""

    name: str

    def run(
        self, name: str, *arguments: str | Path, stdin: str = "", seconds: float = SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl or helm here, whatever comes of it."""
        return subprocess.run(
            [program(name), "--namespace", self.name, *arguments],
            input=stdin or None,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds + 60,
        )

    def kubectl(self, *arguments: str | Path, stdin: str = "", seconds: float = SECONDS) -> str:
        """What kubectl prints; it must succeed."""
        done = self.run("kubectl", *arguments, stdin=stdin, seconds=seconds)
        assert done.returncode == 0, f"kubectl {arguments}: {done.stderr}{done.stdout}"
        return done.stdout

    def helm(self, *arguments: str | Path, seconds: float = SECONDS) -> str:
        """What helm prints; it must succeed."""
        done = self.run("helm", *arguments, seconds=seconds)
        assert done.returncode == 0, f"helm {arguments}: {done.stderr}{done.stdout}"
        return done.stdout

    def try_release(
        self, verb: str, *sets: str, force: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """helm install or upgrade of the chart with values as `--set` takes them."""
        options = [f"--set={each}" for each in sets] + ["--force-conflicts"] * force
        return self.run("helm", verb, "shop", CHART, *options, "--wait", f"--timeout={SECONDS:g}s")

    def release(self, verb: str, *sets: str) -> str:
        """The same, and what helm prints; it must succeed."""
        done = self.try_release(verb, *sets)
        assert done.returncode == 0, f"helm {verb}: {done.stderr}{done.stdout}"
        return done.stdout

    def get(self, *arguments: str) -> Object:
        found: Object = json.loads(self.kubectl("get", *arguments, "--output=json"))
        return found

    def pods(self, name: str) -> list[Object]:
        """The pods of a service that are not on their way out."""
        found: list[Object] = self.get("pods", f"--selector=app.kubernetes.io/name={name}")["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def ready(self, name: str) -> int:
        """How many pods of a service are ready."""
        return sum(
            condition["type"] == "Ready" and condition["status"] == "True"
            for pod in self.pods(name)
            for condition in pod["status"].get("conditions", ())
        )

    def answer(self, pod: str, path: str) -> str:
        """What a pod answers where operators ask; the API's proxy keeps the words of a 503."""
        [container] = self.get("pod", pod)["spec"]["containers"]
        [health] = [p["containerPort"] for p in container["ports"] if p["name"] == "health"]
        with self.forwarded(f"pod/{pod}", health) as port:
            return httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False).text

    def rolled_out(self, *names: str) -> None:
        for name in names:
            self.kubectl("rollout", "status", f"deployment/{name}", f"--timeout={SECONDS:g}s")

    def secret(self, name: str, key: str) -> str:
        template = f"{{{{index .data {json.dumps(key)} | base64decode}}}}"
        return self.kubectl("get", "secret", name, f"--output=go-template={template}")

    @contextmanager
    def started(self, name: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """The same in the background, ended with the block."""
        process = subprocess.Popen(
            [program(name), f"--namespace={self.name}", *arguments],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=10)

    @contextmanager
    def forwarded(self, target: str, port: int) -> Iterator[int]:
        """A port of this machine that leads to `target` for the block."""
        local = free_port()
        with self.started("kubectl", "port-forward", target, f"{local}:{port}") as process:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("Forwarding from")
            yield local

    @contextmanager
    def broker(self, who: str = "operator") -> Iterator[NatsSettings]:
        """The bundled NATS for the block, with the release's own password."""
        with self.forwarded("service/nats", 4222) as port:
            url = f"nats://127.0.0.1:{port}"
            yield NatsSettings(url=url, user=who, password=self.secret("nats", who))

    def apply(self, found: Object) -> None:
        self.kubectl("apply", "--filename=-", stdin=yaml.safe_dump(found))


def eventually(true: Callable[[], Any], what: Callable[[], str], seconds: float = SECONDS) -> None:
    """Return once `true`; fail with `what` when that takes too long."""
    wait_until(true, within=seconds, what=what, pause=0.5)


async def ask(nats: NatsSettings, subject: str, body: dict[str, Any] | None = None) -> Any:
    """What JetStream's API answers."""
    async with await ControlPlane.connect(nats, name="asking") as control:
        return await control.api(subject, body)


def asked(space: Namespace, subject: str, body: dict[str, Any] | None = None) -> Any:
    """What the bundled NATS answers its operator."""
    with space.broker() as nats:
        return asyncio.run(ask(nats, subject, body))
