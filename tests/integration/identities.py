"""Identities that a test makes itself, and brokers that are configured to know them."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import nkeys
import pytest

from jetmesh.operate.broker import Broker
from jetmesh.settings import NatsSettings

_PLAIN = ("subs", "data", "payload", "imports", "exports", "conn", "leaf")
_STORING = ("mem_storage", "disk_storage", "streams", "consumer")


Configured = Callable[[str], Broker]


@pytest.fixture
def configured(tmp_path: Path) -> Iterator[Configured]:
    """Start a broker with a configuration; `rewrite` changes it while it runs."""
    with ExitStack() as stack:

        def start(text: str) -> Broker:
            config = tmp_path / "server.conf"
            config.write_text(text)
            broker = Broker(tmp_path / "store", config=config)
            return stack.enter_context(broker)

        yield start


def rewrite(broker: Broker, text: str) -> None:
    assert broker.config is not None
    broker.config.write_text(text)
    os.kill(broker.pid, signal.SIGHUP)


def at(settings: NatsSettings, broker: Broker, *, scheme: str = "nats") -> NatsSettings:
    fields = {name: getattr(settings, name) for name in settings.__struct_fields__}
    return NatsSettings(**{**fields, "url": f"{scheme}://127.0.0.1:{broker.port}"})


class Key:
    """A pair of keys of an operator, an account or a user."""

    def __init__(self, kind: int = nkeys.PREFIX_BYTE_USER) -> None:
        self.seed: str = nkeys.encode_seed(os.urandom(32), kind).decode()
        self._pair = nkeys.from_seed(bytearray(self.seed.encode()))
        self.public: str = self._pair.public_key.decode()

    def jwt(self, subject: Key, claims: dict[str, Any], *, seconds: float = 0) -> str:
        """Claims about `subject`, signed by this key."""
        now = time.time()
        body = {
            "jti": "X",
            "iat": int(now),
            "iss": self.public,
            "name": "test",
            "sub": subject.public,
            "nats": {"version": 2, **claims},
        }
        if seconds:
            body["exp"] = int(now + seconds)
        text = ".".join(map(_part, ({"typ": "JWT", "alg": "ed25519-nkey"}, body)))
        return f"{text}.{_base64(self._pair.sign(text.encode()))}"


class Operator:
    """A server's operator with one account, which signs users."""

    def __init__(self) -> None:
        self._operator = Key(nkeys.PREFIX_BYTE_OPERATOR)
        self._account = Key(nkeys.PREFIX_BYTE_ACCOUNT)
        self._system = Key(nkeys.PREFIX_BYTE_ACCOUNT)

    @property
    def config(self) -> str:
        limits = {**dict.fromkeys(_PLAIN + _STORING, -1), "wildcards": True}
        operator = self._operator.jwt(
            self._operator, {"type": "operator", "system_account": self._system.public}
        )
        account = self._operator.jwt(self._account, {"type": "account", "limits": limits})
        system = self._operator.jwt(
            self._system, {"type": "account", "limits": dict.fromkeys(_PLAIN, -1)}
        )
        return (
            f"operator: {operator}\nresolver: MEMORY\nsystem_account: {self._system.public}\n"
            f"resolver_preload: {{ {self._account.public}: {account}\n"
            f"{self._system.public}: {system} }}\n"
        )

    def creds(self, *, seconds: float = 0) -> str:
        """What a .creds file of a new user holds."""
        user = Key()
        claims = {"type": "user", "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1}
        token = self._account.jwt(user, claims, seconds=seconds)
        return (
            f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
            "************************* IMPORTANT *************************\n"
            "NKEY Seed printed below can be used to sign and prove identity.\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
        )


class Certificates:
    """An authority, a server and a client, made with the openssl command."""

    def __init__(self, path: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not installed, it makes the certificates")
        self._path = path
        self._openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
            f"-subj /CN=test-ca -keyout {self['ca.key']} -out {self['ca.pem']}"
        )
        for name in ("server", "client"):
            self._signed(name)

    def __getitem__(self, name: str) -> str:
        return str(self._path / name)

    def config(self, *, verify: bool = False) -> str:
        return (
            f"tls {{ cert_file: '{self['server.pem']}', key_file: '{self['server.key']}', "
            f"ca_file: '{self['ca.pem']}', verify: {str(verify).lower()}, timeout: 5 }}\n"
        )

    def _signed(self, name: str) -> None:
        self._openssl(
            "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
            f"-subj /CN={name} -keyout {self[f'{name}.key']} -out {self[f'{name}.csr']}"
        )
        Path(self["names"]).write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        self._openssl(
            f"x509 -req -in {self[f'{name}.csr']} -CA {self['ca.pem']} -CAkey {self['ca.key']} "
            f"-CAcreateserial -days 2 -extfile {self['names']} -out {self[f'{name}.pem']}"
        )

    def _openssl(self, arguments: str) -> None:
        subprocess.run(["openssl", *arguments.split()], check=True, capture_output=True)


def _part(value: Any) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
