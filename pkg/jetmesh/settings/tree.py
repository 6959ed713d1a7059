"""The typed tree of settings: every name that a settings file or a variable may use."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from jetmesh.declare.duration import Duration

Secret = Annotated[str, Meta(extra={"sensitive": True})]
Port = Annotated[int, Meta(ge=0, le=65535)]
Prefix = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$")]

_userinfo = re.compile(r"(?<=://)[^/@,\s]*@")


class NatsSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach the broker, and as whom."""

    url: str = "nats://127.0.0.1:4222"
    """Several are separated by commas; `tls://` in one of them asks for TLS with all of them."""
    user: str = ""
    password: Secret = ""
    token: Secret = ""
    nkey_seed_file: str = ""
    creds_file: str = ""
    tls_ca_file: str = ""
    """Any of the three TLS files asks for TLS, whatever the scheme of the url."""
    tls_cert_file: str = ""
    tls_key_file: str = ""
    tls_first: bool = False
    """TLS from the first byte, for a server with `handshake_first`: nothing at all is said in the
    clear. Asks for TLS, too."""
    ignore_discovered_servers: bool = False
    """Connect to the servers of the url only, not to those that they tell of."""
    inbox_prefix: Prefix = "_INBOX"
    """How the subjects begin on which answers arrive; one of its own for each user keeps others
    from reading them."""

    def __repr__(self) -> str:
        return f"NatsSettings(url={without_userinfo(self.url)!r}, …)"


class HttpSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a service answers /healthz, /readyz, /metrics and its pages."""

    host: str = "127.0.0.1"
    port: Port = 8080
    """0 takes any free port."""


class LogSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a service writes to standard error, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"
    """`auto` is console in a terminal and JSON elsewhere."""


class PolicyOverride(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields of a handler's `Policy` that settings change; None keeps what the code declares."""

    attempts: int | None = None
    backoff: Duration | None = None
    backoff_cap: Duration | None = None
    timeout: Duration | None = None
    max_age: Duration | None = None
    rejects: tuple[str, ...] | None = None
    ack_wait: Duration | None = None
    max_ack_pending: int | None = None
    concurrency: int | None = None
    batch: int | None = None


class StreamOverride(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields of a stream's `StreamTuning` that settings change; None keeps the default."""

    max_age: Duration | None = None
    max_bytes: int | None = None
    replicas: int | None = None
    duplicate_window: Duration | None = None


class ServiceSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One service's own settings, and the tuning of its handlers by name."""

    settings: dict[str, Any] = field(default_factory=dict)
    handlers: dict[str, PolicyOverride] = field(default_factory=dict)


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set without changing code."""

    nats: NatsSettings = NatsSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
    provision: Literal["apply", "verify"] = "apply"
    """`apply` makes streams and durables at start; `verify` only compares, as production should."""
    grace: Duration = Duration(20)
    """How long a stopping service may finish what is in flight."""
    services: dict[str, ServiceSettings] = field(default_factory=dict)
    streams: dict[str, StreamOverride] = field(default_factory=dict)


def without_userinfo(text: str) -> str:
    """`text` with the user and password of every url in it masked."""
    return _userinfo.sub("***@", text)
