"""Who is measured: each peer's program, built or installed in an environment of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent.parent
CACHE: Final = HERE.parent / ".benchmarks"
_PYTHON: Final = CACHE / "venv" / "bin" / "python"


@dataclass(frozen=True, slots=True)
class Peer:
    """A program that does the measured work."""

    name: str
    title: str
    command: tuple[str, ...]
    share: int = 1
    """It gets one part in so many of the messages: a slow peer would only take time."""
    encrypted: bool = False
    """It connects with TLS."""


class PeerMissingError(Exception):
    """A peer cannot run here; the message says why."""


def prepare(names: Sequence[str], say: Callable[[str], None]) -> tuple[list[Peer], dict[str, str]]:
    """Every peer that can run here, and for the others why not."""
    CACHE.mkdir(exist_ok=True)
    ready, missing = [], {}
    for name, build in _BUILDERS.items():
        if names and name not in names:
            continue
        say(f"preparing {name}")
        try:
            ready.append(build())
        except (PeerMissingError, subprocess.CalledProcessError, OSError) as error:
            missing[name] = str(error)
    return ready, missing


def _jetmesh() -> Peer:
    return Peer("jetmesh", "jetmesh", (sys.executable, "-m", "peers.jetmesh_app"))


def _traced(ratio: str, title: str) -> Callable[[], Peer]:
    def traced() -> Peer:
        command = (sys.executable, "-m", "peers.jetmesh_traced", ratio)
        return Peer(f"jetmesh_traced_{ratio}", f"jetmesh, {title} traced", command, share=2)

    return traced


def _go() -> Peer:
    return Peer("go", "Go, encoding/json", (str(_built("go-peer")),))


def _go_fast() -> Peer:
    return Peer("go_fast_json", "Go, go-json", (str(_built("go-peer-fast", "fastjson")),))


def _encrypted(build: Callable[[], Peer]) -> Callable[[], Peer]:
    def encrypted() -> Peer:
        peer = build()
        return replace(peer, name=f"{peer.name}_tls", title=f"{peer.title}, TLS", encrypted=True)

    return encrypted


def _nats_py() -> Peer:
    _install()
    return Peer("nats_py", "nats-py by hand", (str(_PYTHON), "-m", "peers.nats_py_pipeline"))


def _faststream() -> Peer:
    _install()
    command = (str(_PYTHON), "-m", "peers.faststream_app")
    return Peer("faststream", "FastStream", command, share=4)


_BUILDERS: Final[dict[str, Callable[[], Peer]]] = {
    "jetmesh": _jetmesh,
    "jetmesh_traced_0.01": _traced("0.01", "1 %"),
    "jetmesh_traced_1": _traced("1", "100 %"),
    "jetmesh_tls": _encrypted(_jetmesh),
    "go": _go,
    "go_tls": _encrypted(_go),
    "go_fast_json": _go_fast,
    "nats_py": _nats_py,
    "faststream": _faststream,
}


def _built(name: str, tags: str = "") -> Path:
    go = shutil.which("go")
    if go is None:
        raise PeerMissingError("Go is not installed")
    binary = CACHE / name
    _run([go, "build", "-tags", tags, "-o", str(binary), "."], HERE / "peers" / "go")
    return binary


def _install() -> None:
    """The peers' packages, pinned by hash, in their own environment; once per requirements."""
    wanted = (HERE / "requirements.txt").read_text()
    stamp = CACHE / "venv" / "installed.txt"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    venv.create(CACHE / "venv", clear=True, with_pip=True)
    options = ["--quiet", "--disable-pip-version-check", "--require-hashes"]
    _run([str(_PYTHON), "-m", "pip", "install", *options, "-r", "requirements.txt"], HERE)
    stamp.write_text(wanted)


def _run(command: Sequence[str], cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise PeerMissingError(f"{Path(command[0]).name}: {said[-1] if said else 'failed'}")
