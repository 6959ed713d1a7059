"""Real servers with the chart's own configuration, and logins as pods have them."""

from __future__ import annotations

import os
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

LATER = 1
"""Seconds after which the nodes here take a changed password."""


@contextmanager
def servers(rendered: Rendered, folder: Path) -> Iterator[list[int]]:
    """Their ports for clients; they mount `folder`/tls and `folder`/passwords."""
    count = rendered.one("StatefulSet", "nats")["spec"]["replicas"]
    clients = [free_port() for _ in range(count)]
    routes = [free_port() for _ in range(count)]
    (folder / "passwords").mkdir()
    for name, who in mounted_by_nodes(rendered).items():
        (folder / "passwords" / name).write_text(password(rendered, who))
    with ExitStack() as stack:
        for number in range(count):
            node = folder / str(number)
            node.mkdir()
            for name, text in rendered.one("ConfigMap", "nats")["data"].items():
                (node / name).write_text(
                    text.replace("port: 4222", f"port: {clients[number]}")
                    .replace("http_port: 8222", "")
                    .replace("port: 6222", f"port: {routes[number]}")
                    .replace("../dev/shm/", "")
                    .replace("/dev/shm/", f"{node}/")
                    .replace("/config/", f"{node}/")
                    .replace("/data", str(node / "data"))
                    .replace("/passwords/*", f"{folder}/passwords/*")
                    .replace("/tls/", f"{folder}/tls/")
                )
            command = ["/bin/sh", str(node / "start.sh")]
            environment = variables(rendered, routes) | {"POD_NAME": f"nats-{number}"}
            environment |= {"PATH": f"{Path(find_server()).parent}:{os.environ['PATH']}"}
            environment |= {"LATER": str(LATER)}
            stack.enter_context(running(command, environment, folder / f"{number}.log"))
        yield clients


def mounted_by_nodes(rendered: Rendered) -> dict[str, str]:
    """Whose password each file is."""
    volumes = rendered.one("StatefulSet", "nats")["spec"]["template"]["spec"]["volumes"]
    [items] = [volume["secret"]["items"] for volume in volumes if volume["name"] == "passwords"]
    return {item["path"]: item["key"] for item in items}


def variables(rendered: Rendered, routes: list[int]) -> dict[str, str]:
    """The container's variables as Kubernetes expands them, at ports of this machine."""
    [container] = rendered.one("StatefulSet", "nats")["spec"]["template"]["spec"]["containers"]
    values = {each["name"]: each.get("value", "") for each in container["env"]}
    found = {"ROUTES_PASSWORD": password(rendered, "routes")}
    for number, port in enumerate(routes):
        if f"ROUTE_{number}" in values:
            url = values[f"ROUTE_{number}"].replace("$(ROUTES_PASSWORD)", found["ROUTES_PASSWORD"])
            found[f"ROUTE_{number}"] = url.replace(
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
