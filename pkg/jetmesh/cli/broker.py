"""Which broker a command talks to."""

from __future__ import annotations

import os

import msgspec

from jetmesh.declare import Topology
from jetmesh.errors import UsageError
from jetmesh.operate.project import Project, find_project
from jetmesh.operate.up import upfile
from jetmesh.operate.up.access import chosen_by
from jetmesh.settings import Loaded, NatsSettings, addresses_of


def broker_of(project: Project, loaded: Loaded, nats_url: str) -> NatsSettings:
    """The broker of --nats-url, else of the settings, else of a running mesh, else the default.

    At the mesh that runs here we are the operator, unless variables say who we are.

    Raises:
        SettingsError: --nats-url holds what is not an address.
    """
    settings = told(loaded.settings.nats, nats_url)
    up = mesh_of(project, loaded, nats_url)
    if up is None:
        return settings
    return up.access.operator(project.state, settings, keep=chosen_by(os.environ))


def mesh_of(project: Project, loaded: Loaded, nats_url: str = "") -> upfile.Up | None:
    """The mesh that runs here, if it is its broker that is meant: by its address, or by none."""
    up = upfile.running(project.state)
    unsaid = not nats_url and loaded.origins["nats.url"] == "default"
    meant = up and (unsaid or same_server(nats_url or loaded.settings.nats.url, up.nats_url))
    return up if meant else None


def same_server(url: str, other: str) -> bool:
    """Whether two addresses of this machine lead to one server; an address with a user does not."""
    return _local(url) == _local(other) != ""


def _local(url: str) -> str:
    _, _, place = url.strip().rpartition("://")
    return place.rstrip("/").replace("localhost", "127.0.0.1")


def told(settings: NatsSettings, nats_url: str) -> NatsSettings:
    """`settings` with the servers of --nats-url, if it was given.

    Raises:
        SettingsError: it holds what is not an address.
    """
    if not nats_url:
        return settings
    addresses_of(nats_url, "--nats-url")
    return msgspec.structs.replace(settings, url=nats_url)


def running_elsewhere(tried: str) -> str:
    """How to reach the mesh of this project that runs at another address than those `tried`."""
    try:
        up = upfile.running(find_project().state)
    except UsageError:
        return ""
    if up is None or up.nats_url.partition("://")[2] in tried:
        return ""
    which = "unset NATS_URL" if os.environ.get("NATS_URL") else "correct --nats-url or nats.url"
    return f"A mesh of this project runs at {up.nats_url}: {which} to use it."


def load(reference: str, nats_url: str) -> tuple[NatsSettings, Topology]:
    """The broker that a command is about, and what the project declares.

    Raises:
        UsageError: there is no such project.
        JetmeshError: it cannot be loaded.
    """
    project = find_project(reference)
    whole = project.load()
    return broker_of(project, whole.loaded, nats_url), whole.topology
