"""A network of the run's own: a namespace for each node, on cables that can be pulled.

The switch has a namespace too, so that no firewall of the machine sees what passes it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path
from typing import Final

from tests.cluster.chaos.processes import run

_NAMESPACES: Final = Path("/run/netns")
_OURS: Final = re.compile(r"jm(\d+)[sn]\d*")
_SUBNETS: Final = 512
"""198.18.0.0/15 is for tests of networks (RFC 2544), so nobody lives there."""


def why_no_network() -> str:
    """Why namespaces cannot be made here, in words; empty when they can."""
    if os.geteuid() != 0:
        return "network namespaces and mounts need root"
    missing = [name for name in ("ip", "nsenter", "mount", "umount") if not shutil.which(name)]
    if missing:
        return f"{', '.join(missing)} is not installed (iproute2, util-linux, mount)"
    probe = f"jm{os.getpid()}s"
    try:
        run("ip", "netns", "add", probe)
        run("ip", "netns", "del", probe)
    except RuntimeError as error:
        return f"the kernel gives no network namespaces: {error}"
    return ""


class Network:
    """Made by `make`, gone after `remove`; named after this process."""

    def __init__(self, count: int) -> None:
        self._name = f"jm{os.getpid()}"
        self._switch = f"{self._name}s"
        self._nodes = [f"{self._name}n{number}" for number in range(1, count + 1)]
        self._subnet = ""

    def make(self) -> None:
        """Make the switch, the cable to it, and a namespace with a cable for each node.

        Raises:
            RuntimeError: the kernel refuses.
        """
        remove_left_overs()
        self._subnet = _free_subnet()
        run("ip", "netns", "add", self._switch)
        self._in_switch("link", "add", "name", "hub", "type", "bridge")
        self._in_switch("link", "set", "hub", "up")
        here = f"{self._name}h"
        run("ip", "link", "add", here, "type", "veth", "peer", "v0", "netns", self._switch)
        self._plug(0)
        run("ip", "addr", "add", f"{self._subnet}.254/24", "dev", here)
        run("ip", "link", "set", here, "up")
        for number, namespace in enumerate(self._nodes, 1):
            self._connect(number, namespace)

    def remove(self) -> None:
        """Take it all away; what is left of it after a crash, the next run takes."""
        for namespace in (*self._nodes, self._switch):
            with contextlib.suppress(RuntimeError):
                run("ip", "netns", "del", namespace)
        _unplug(self._name)

    def address(self, number: int) -> str:
        """Of the node with that number, the first is 1."""
        return f"{self._subnet}.{number}"

    def entering(self, number: int) -> list[str]:
        """What makes the command that follows a process of that node.

        Not `ip netns exec`: its private mounts keep those alive that are taken away here.
        """
        nsenter = shutil.which("nsenter") or "nsenter"
        return [nsenter, f"--net={_NAMESPACES / self._nodes[number - 1]}", "--"]

    def cut(self, number: int) -> None:
        """Pull the cable: nothing says so to either side."""
        self._in_switch("link", "set", f"v{number}", "down")

    def join(self, number: int) -> None:
        """Plug it in again."""
        self._in_switch("link", "set", f"v{number}", "up")

    def _connect(self, number: int, namespace: str) -> None:
        run("ip", "netns", "add", namespace)
        cable = ("link", "add", f"v{number}", "type", "veth", "peer", "eth0", "netns", namespace)
        self._in_switch(*cable)
        self._plug(number)
        run("ip", "-n", namespace, "addr", "add", f"{self.address(number)}/24", "dev", "eth0")
        run("ip", "-n", namespace, "link", "set", "eth0", "up")
        run("ip", "-n", namespace, "link", "set", "lo", "up")

    def _plug(self, number: int) -> None:
        self._in_switch("link", "set", f"v{number}", "master", "hub", "up")

    def _in_switch(self, *arguments: str) -> None:
        run("ip", "-n", self._switch, *arguments)


def remove_left_overs() -> None:
    """Remove the namespaces of runs that were killed."""
    for namespace in sorted(_NAMESPACES.glob("jm*")):
        found = _OURS.fullmatch(namespace.name)
        if found and not Path(f"/proc/{found[1]}").exists():
            with contextlib.suppress(RuntimeError):
                run("ip", "netns", "del", namespace.name)
            _unplug(f"jm{found[1]}")


def _unplug(name: str) -> None:
    """Remove our end of the cable to the switch: it outlives its namespace by seconds."""
    with contextlib.suppress(RuntimeError):
        run("ip", "link", "del", f"{name}h")


def _free_subnet() -> str:
    taken = run("ip", "-4", "-o", "addr", "show")
    for offset in range(_SUBNETS):
        number = (os.getpid() + offset) % _SUBNETS
        subnet = f"198.{18 + number // 256}.{number % 256}"
        if f" {subnet}." not in taken:
            return subnet
    raise RuntimeError("every subnet of 198.18.0.0/15 is in use")
