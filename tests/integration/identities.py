"""Identities that a test makes itself, and brokers that are configured to know them."""

from __future__ import annotations

import base64
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import nkeys
import pytest

from jetmesh.operate.up.broker import Broker
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


def _part(value: Any) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
