"""How a process of this machine reaches the broker of `jetmesh up`, and as whom."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from jetmesh.declare.setting import variable
from jetmesh.operate.identities import OPERATOR, inbox_prefix
from jetmesh.settings import NatsSettings

AS_OPERATOR: Final = "nats --nkey .jetmesh/identities/operator.nk"
"""The nats CLI, in the root of the project, with everything allowed."""
_HERE: Final = {"js_domain": "", "js_api_prefix": ""}
"""This broker has JetStream itself, whatever production needs."""
_CREDENTIALS: Final = (
    "user",
    "password",
    "password_file",
    "token",
    "nkey_seed_file",
    "creds_file",
)
_ELSEWHERE: Final[dict[str, Any]] = {
    **dict.fromkeys((*_CREDENTIALS, "tls_ca_file", "tls_cert_file", "tls_key_file"), ""),
    "tls_first": False,
}
"""Who we are in production is nobody here."""


class Access(Struct, frozen=True):
    """What everybody on this machine has to know of the broker."""

    url: str
    everybody: bool = False
    """Whoever connects may do everything; so nobody is asked who they are."""
    ca: str = ""
    """The authority to trust, of a broker on TLS."""

    def common(self) -> dict[str, str]:
        """Variables for everybody, whoever they are."""
        return _variables({"url": self.url, **_HERE, **self._trust()})

    def of(self, name: str, state: Path) -> dict[str, str]:
        """Variables that make one the service `name`.

        With an identity a service makes no stream: `up` does, as the operator.
        """
        own = _variables(self._own(name, state))
        return own if self.everybody else {**own, variable(("provision",)): "verify"}

    def operator(
        self, state: Path, settings: NatsSettings | None = None, *, keep: bool = False
    ) -> NatsSettings:
        """`settings` of one who may do everything here; or, to `keep`, of who they say."""
        own = {} if keep else self._own(OPERATOR, state)
        here = {**_HERE, **self._trust(), **own}
        return msgspec.structs.replace(settings or NatsSettings(), url=self.url, **here)

    def _trust(self) -> dict[str, str]:
        return {"tls_ca_file": self.ca} if self.ca else {}

    def _own(self, name: str, state: Path) -> dict[str, Any]:
        if self.everybody:
            return {**_ELSEWHERE, **self._trust()}
        return {
            **_ELSEWHERE,
            **self._trust(),
            "nkey_seed_file": str(seed_of(state, name)),
            "inbox_prefix": inbox_prefix(name),
        }


def seeds_of(state: Path) -> Path:
    """The directory of the keys of all identities."""
    return state / "identities"


def seed_of(state: Path, name: str) -> Path:
    """The file with the seed of one identity's nkey."""
    return seeds_of(state) / f"{name}.nk"


def chosen_by(environ: Mapping[str, str]) -> bool:
    """Whether variables say who we are."""
    return any(environ.get(variable(("nats", name))) for name in _CREDENTIALS)


def _variables(fields: dict[str, Any]) -> dict[str, str]:
    """Settings of `nats` by variable."""
    texts = {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in fields.items()}
    return {variable(("nats", name)): text for name, text in texts.items()}
