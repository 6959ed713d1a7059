"""The typed tree of settings: every name that a settings file or a variable may use."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from jetmesh.declare.duration import Duration
from jetmesh.protocol.streams import JS_API
from jetmesh.settings.address import shown

Secret = Annotated[str, Meta(extra={"sensitive": True})]
Port = Annotated[int, Meta(ge=0, le=65535)]
Prefix = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$")]
Domain = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]*$")]
ApiPrefix = Annotated[str, Meta(pattern=r"^([$A-Za-z0-9_-]+(\.[$A-Za-z0-9_-]+)*)?$")]


class NatsSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach the broker, and as whom."""

    url: str = "nats://127.0.0.1:4222"
    """The servers, separated by commas; `tls://` in one address asks for TLS with all of them. An
    address may hold a user and password, or a token, of its own."""
    user: str = ""
    """The user to be, with `password`; `creds_file`, `nkey_seed_file`, an address with a user or
    token, and `token` win over it."""
    password: Secret = ""
    """The password of `user`."""
    password_file: str = ""
    """A file with the password of `user`, in place of `password`; read again at every attempt to
    connect, so a changed password needs no restart."""
    token: Secret = ""
    """A token, where the server asks for one instead of a user."""
    nkey_seed_file: str = ""
    """A file with the seed of an nkey; read again at every attempt to connect."""
    creds_file: str = ""
    """A `.creds` file with a JWT and a seed; read again at every attempt to connect."""
    tls_ca_file: str = ""
    """The authority that signed the server's certificate, if the system does not know it. Any of
    the three TLS files asks for TLS, whatever the url says."""
    tls_cert_file: str = ""
    """Our own certificate, where the server verifies its clients."""
    tls_key_file: str = ""
    """The key of that certificate."""
    tls_first: bool = False
    """TLS from the first byte, for a server with `handshake_first`; asks for TLS, too."""
    ignore_discovered_servers: bool = False
    """Connect only to the servers in `url`, not to others that they announce."""
    inbox_prefix: Prefix = "_INBOX"
    """How the subjects begin on which answers arrive. Give each user its own, so that no other user
    can read its answers."""
    js_domain: Domain = ""
    """The JetStream domain that holds the streams, where we are connected to a server of another
    one, such as a leaf node; empty: that of the server."""
    js_api_prefix: ApiPrefix = ""
    """In place of `$JS.API`, where our account imports the JetStream API of another one under other
    subjects. Only one of the two may be set."""

    @property
    def js_api(self) -> str:
        """How the subjects begin on which JetStream is asked."""
        domain = f"$JS.{self.js_domain}.API" if self.js_domain else JS_API
        return self.js_api_prefix or domain

    def __repr__(self) -> str:
        return f"NatsSettings(url={shown(self.url)!r}, …)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """What rich shows of it, as in a traceback with variables: no more."""
        return [("url", shown(self.url))]


class HttpSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a service answers /healthz, /readyz, /metrics and its pages."""

    host: str = "127.0.0.1"
    """The address to listen on; `0.0.0.0` for all."""
    port: Port = 8080
    """The port; 0 takes any free one. Of a service with pages it has these alone."""
    health_port: Port = 0
    """The port of `/healthz`, `/readyz` and `/metrics` where `port` is that of pages: nobody from
    outside is to reach it. 0 takes any free one, which the log names."""
    connections: Annotated[int, Meta(ge=1)] = 512
    """How many may be connected to pages at once, half of them with event streams; never more than
    half of the files that the process may open."""
    allowed_hosts: tuple[str, ...] = ()
    """The names under which pages are asked for; others are refused. Empty: any, and on a loopback
    address that of this machine alone."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks of reverse proxies. What they say of who asks is believed
    (`X-Forwarded-For`, `X-Forwarded-Proto`, the identity header of a login), and nobody else's."""


class LogSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a service writes to standard error, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The lowest level that is written: `debug`, `info`, `warning` or `error`."""
    format: Literal["auto", "console", "json"] = "auto"
    """`console`, `json`, or `auto`: console in a terminal and JSON elsewhere."""


class ServiceSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One service's own settings, fields of `HttpSettings`, and of its handlers' `Policy`."""

    settings: dict[str, Any] = field(default_factory=dict)
    http: dict[str, Any] = field(default_factory=dict)
    handlers: dict[str, dict[str, Any]] = field(default_factory=dict)


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set without changing code."""

    nats: NatsSettings = NatsSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
    provision: Literal["apply", "verify"] = "apply"
    """`apply`: a service creates and updates its streams and durables itself. `verify`: it only
    compares them, as in production."""
    may_skip: Annotated[int, Meta(ge=-1)] = 0
    """How many stored events each read model, and each handler, of a service may be unable to take
    while `/readyz` still says ready: 0 never says so with a wrong board, -1 always does."""
    grace: Duration = Duration(20)
    """How long a stopping service may take to finish what is in flight."""
    linger: Duration = Duration(0)
    """How long a stopping service with pages goes on answering them, while `/readyz` already says
    that it stops: until load balancers have noticed."""
    services: dict[str, ServiceSettings] = field(default_factory=dict)
    """By service: its own settings in `[services.NAME.settings]`, what differs from `http` in
    `[services.NAME.http]`, its handlers' policies in `[services.NAME.handlers.HANDLER]`."""
    streams: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Fields of `StreamTuning` by stream, in `[streams.NAME]`."""
