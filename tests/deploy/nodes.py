"""Real servers with the chart's own configuration, and logins as pods have them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from jetmesh.operate.up.broker import find_server
from jetmesh.operate.up.ports import free_port
from jetmesh.settings import NatsSettings, load_settings
from jetmesh.transport.control import ControlPlane
from tests.deploy.conftest import Object, Rendered
from tests.deploy.processes import running


@contextmanager
def servers(rendered: Rendered, folder: Path) -> Iterator[list[int]]:
    """Their ports for clients; what they mount at /tls is in `folder`/tls."""
    count = rendered.one("StatefulSet", "nats")["spec"]["replicas"]
    clients = [free_port() for _ in range(count)]
    routes = [free_port() for _ in range(count)]
    with ExitStack() as stack:
        for number in range(count):
            config = folder / f"{number}.conf"
            config.write_text(
                rendered.one("ConfigMap", "nats")["data"]["nats.conf"]
                .replace("port: 4222", f"port: {clients[number]}")
                .replace("http_port: 8222", "")
                .replace("port: 6222", f"port: {routes[number]}")
                .replace("/data", str(folder / str(number)))
                .replace("/tls/", f"{folder}/tls/")
            )
            command = [find_server(), "--config", str(config)]
            environment = variables(rendered, routes) | {"POD_NAME": f"nats-{number}"}
            stack.enter_context(running(command, environment, folder / f"{number}.log"))
        yield clients


def variables(rendered: Rendered, routes: list[int]) -> dict[str, str]:
    """The container's variables as Kubernetes expands them, at ports of this machine."""
    [container] = rendered.one("StatefulSet", "nats")["spec"]["template"]["spec"]["containers"]
    found: dict[str, str] = {}
    for each in container["env"]:
        key = each.get("valueFrom", {}).get("secretKeyRef", {}).get("key")
        if key is not None:
            found[each["name"]] = password(rendered, key)
    for number, port in enumerate(routes):
        for each in container["env"]:
            if each["name"] == f"ROUTE_{number}":
                url = each["value"].replace("$(ROUTES_PASSWORD)", password(rendered, "routes"))
                found[each["name"]] = url.replace(
                    f"nats-{number}.nats-nodes:6222", f"127.0.0.1:{port}"
                )
    return found


def password(rendered: Rendered, who: str) -> str:
    found: str = rendered.one("Secret", "nats")["stringData"][who]
    return found


def address(ports: list[int], login: str = "") -> str:
    return ",".join(f"nats://{login}127.0.0.1:{port}" for port in ports)


@asynccontextmanager
async def connected(rendered: Rendered, ports: list[int], who: str) -> AsyncIterator[ControlPlane]:
    """As one of the identities."""
    prefix = "_INBOX" if who == "clients" else f"_INBOX_{who}"
    word = password(rendered, who)
    settings = NatsSettings(url=address(ports), user=who, password=word, inbox_prefix=prefix)
    async with await ControlPlane.connect(settings, name=who, patient=True) as control:
        yield control


def mounted(rendered: Rendered, template: Object, folder: Path) -> dict[str, str]:
    """The keys of the Secret of NATS that pods mount, by the path at which they are there."""
    spec = template["spec"]
    [container] = spec["containers"]
    paths = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    found: dict[str, str] = {}
    for volume in spec["volumes"]:
        if volume.get("secret", {}).get("secretName") == "nats":
            for item in volume["secret"]["items"]:
                found[f"{paths[volume['name']]}/{item['path']}"] = item["key"]
                (folder / item["path"]).write_text(password(rendered, item["key"]))
    return found


def settings_file(rendered: Rendered, kind: str, name: str, ports: list[int], folder: Path) -> Path:
    """The file that a pod reads, for this machine: with the password that the pod mounts."""
    folder.mkdir(exist_ok=True)
    found = rendered.one(kind, name)
    template = found if kind == "Pod" else found["spec"]["template"]
    [config] = [v["configMap"]["name"] for v in template["spec"]["volumes"] if "configMap" in v]
    text: str = rendered.one("ConfigMap", config)["data"]["jetmesh.toml"]
    for path in mounted(rendered, template, folder):
        text = text.replace(path, str(folder / Path(path).name))
    file = folder / "jetmesh.toml"
    text = text.replace("0.0.0.0", "127.0.0.1")  # noqa: S104 - what pods listen on
    file.write_text(text.replace("nats://nats:4222", address(ports)))
    return file


def login(file: Path, services: Any) -> NatsSettings:
    """What the file says of NATS, read as pods read it."""
    nats = load_settings(services, file=file, environ={}, whole=True).settings.nats
    return replace(nats, password=Path(nats.password_file).read_text())
