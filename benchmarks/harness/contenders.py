"""Who is measured: each peer's program, built or installed in an environment of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent.parent
CACHE: Final = HERE.parent / ".benchmarks"
_NATSIO_NEEDS: Final = (3, 13)


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
    python = str(_installed("requirements.txt", "venv", sys.executable))
    return Peer("nats_py", "nats-py by hand", (python, "-m", "peers.nats_py_pipeline"))


def _natsio() -> Peer:
    python = str(_installed("requirements-natsio.txt", "venv-natsio", _python_of_natsio()))
    return Peer("natsio", "natsio by hand", (python, "-m", "peers.natsio_pipeline"))


def _faststream() -> Peer:
    python = str(_installed("requirements.txt", "venv", sys.executable))
    command = (python, "-m", "peers.faststream_app")
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
    "natsio": _natsio,
    "faststream": _faststream,
}


def _built(name: str, tags: str = "") -> Path:
    go = shutil.which("go")
    if go is None:
        raise PeerMissingError("Go is not installed")
    binary = CACHE / name
    _run([go, "build", "-tags", tags, "-o", str(binary), "."], HERE / "peers" / "go")
    return binary


def _python_of_natsio() -> str:
    """A Python that natsio's locked packages are for: found as .ci/pythons finds one."""
    if sys.version_info >= _NATSIO_NEEDS:
        return sys.executable
    version = ".".join(map(str, _NATSIO_NEEDS))
    kept = (Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python")
    for each in (f"python{version}", *map(str, sorted(kept))):
        # what pyenv puts into PATH exists also where it leads to no Python
        if (found := shutil.which(each)) and _run_quietly(found, "--version"):
            return found
    raise PeerMissingError(f"natsio needs Python {version}, which is not installed")


def _installed(requirements: str, environment: str, python: str) -> Path:
    """The Python of an environment with these packages, pinned by hash; made once per list."""
    wanted = (HERE / requirements).read_text()
    own = CACHE / environment / "bin" / "python"
    stamp = CACHE / environment / "installed.txt"
    if not stamp.exists() or stamp.read_text() != wanted:
        _run([python, "-m", "venv", "--clear", str(CACHE / environment)], HERE)
        options = ["--quiet", "--disable-pip-version-check", "--require-hashes"]
        _run([str(own), "-m", "pip", "install", *options, "-r", requirements], HERE)
        stamp.write_text(wanted)
    return own


def _run_quietly(*command: str) -> bool:
    return not subprocess.run(command, capture_output=True, check=False).returncode


def _run(command: Sequence[str], cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise PeerMissingError(f"{Path(command[0]).name}: {said[-1] if said else 'failed'}")
