"""What the numbers were measured on, without naming the machine or a path of it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from harness.contenders import HERE
from jetmesh.operate.up.broker import find_server

_GIB = 1 << 30


def describe() -> dict[str, str | int]:
    """The machine and the versions of everything that takes part."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB
    return {
        "measured_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": _cpu(),
        "cores": os.cpu_count() or 0,
        "memory_gib": round(memory),
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
        "nats_server": _said([find_server(), "--version"]).removeprefix("nats-server: v"),
        "jetmesh": version("jetmesh"),
        "msgspec": version("msgspec"),
        "nats_py": _pinned("nats-py"),
        "faststream": _pinned("faststream"),
        "go": _said(["go", "env", "GOVERSION"]) if shutil.which("go") else "not installed",
        "nats_go": _go_module("github.com/nats-io/nats.go"),
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _said(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _pinned(package: str) -> str:
    for line in (HERE / "requirements.txt").read_text().splitlines():
        if line.startswith(f"{package}=="):
            return line.removeprefix(f"{package}==").split()[0]
    return "unknown"


def _go_module(module: str) -> str:
    for line in (HERE / "peers" / "go" / "go.mod").read_text().splitlines():
        if line.strip().startswith(module + " "):
            return line.split()[1]
    return "unknown"
