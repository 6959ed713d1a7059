"""What may be set of a chart besides services and streams, with its defaults and why."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from jetmesh.declare.duration import Duration

Image = Annotated[
    str,
    # a registry's port is no tag: what follows the last colon may hold no slash
    Meta(
        pattern=r"^[^@\s]*[^@:\s/](:[A-Za-z0-9_][A-Za-z0-9_.-]*)?@sha256:[0-9a-f]{64}$"
        r"|^[^@\s]*[^@:\s/]:[A-Za-z0-9_][A-Za-z0-9_.-]*$"
    ),
]
"""A name with a tag or a digest: without, nobody knows what runs."""
Memory = Annotated[str, Meta(pattern=r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti)$")]
Cpu = Annotated[str, Meta(pattern=r"^([0-9]+m|[0-9]+(\.[0-9]+)?)$")] | int | float
Cidr = Annotated[str, Meta(pattern=r"^[0-9a-fA-F.:]+/[0-9]{1,3}$")]
Positive = Annotated[int, Meta(ge=1)]
Variable = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class Amounts(Struct, frozen=True, kw_only=True):
    """What is kept free for a pod where it runs."""

    cpu: Cpu = "50m"
    """Cores: kept free for a pod, which takes more while there is more."""
    memory: Memory = "64Mi"
    """Memory: kept free for a pod."""


class Limits(Struct, frozen=True, kw_only=True):
    """There is no limit of CPU: it would slow a service down while cores are idle."""

    memory: Memory = "192Mi"
    """A pod that takes more is killed and started again."""


class Resources(Struct, frozen=True, kw_only=True):
    """Of one pod."""

    requests: Amounts = Amounts()
    limits: Limits = Limits()


class Autoscaling(Struct, frozen=True, kw_only=True):
    """How the number of pods follows the load."""

    enabled: bool = False
    """The autoscaler sets the number of pods; `replicas` is ignored."""
    min_replicas: Positive = 1
    max_replicas: Positive = 8
    """The most pods, however many messages wait."""
    lag: Positive = 100
    """KEDA: messages waiting on one durable for which there is to be one more pod."""
    cpu: Annotated[int, Meta(ge=1, le=100)] = 80
    """Without KEDA: per cent of the requested CPU above which there is to be one more pod."""
    cooldown: Duration = Duration(60)
    """How long fewer pods must have been enough before pods are removed; an hour at most."""


class Ingress(Struct, frozen=True, kw_only=True):
    """How the pages are reached from outside."""

    enabled: bool = False
    """Whether there is one."""
    class_name: str = ""
    """Of the controller that serves it; empty: the cluster's default."""
    host: str = ""
    """The name under which the pages are reached."""
    tls_secret: str = ""
    """A Secret with `tls.crt` and `tls.key`; empty: http."""
    annotations: dict[str, str] = field(default_factory=dict)
    """What its controller is told."""


class ServiceValues(Struct, frozen=True, kw_only=True):
    """One service."""

    replicas: Annotated[int, Meta(ge=0)] = 2
    """Pods; two, so that one may be down."""
    resources: Resources = Resources()
    autoscaling: Autoscaling = Autoscaling()
    env: dict[Variable, str] = field(default_factory=dict)
    """More variables for its pods."""
    existing_secret: str = ""
    """A Secret whose keys are variables of its pods, such as those of `secrets`."""
    egress_to: tuple[Cidr, ...] = ("0.0.0.0/0", "::/0")
    """The networks of the servers outside that it talks to; the ports come from its settings."""
    ingress: Ingress = Ingress()


class NatsCredentials(Struct, frozen=True, kw_only=True):
    """How to log in to a NATS of your own."""

    kind: Literal["none", "password", "token", "creds", "nkey"] = "none"
    """What the Secret holds."""
    secret: str = ""
    """A Secret with `user` and `password`, `token`, `creds` or `nkey`, as `kind` says."""
    admin_secret: str = ""
    """The same for provisioning; empty: that of the services, which then may make streams."""


class NatsTls(Struct, frozen=True, kw_only=True):
    """TLS to a NATS that is there already."""

    secret: str = ""
    """A Secret with `ca.crt`."""
    client: bool = False
    """It holds `tls.crt` and `tls.key` of ours, too."""
    first: bool = False
    """TLS from the first byte, for servers with `handshake_first`."""


class NatsPasswords(Struct, frozen=True, kw_only=True):
    """Empty ones are made once and kept; a letter must be first, the server reads 1k as 1000."""

    services: Annotated[str, Meta(pattern="^([A-Za-z][A-Za-z0-9]*)?$")] = ""
    """Password of the user for services and for people with the nats CLI."""
    admin: Annotated[str, Meta(pattern="^([A-Za-z][A-Za-z0-9]*)?$")] = ""
    """Password of the user that creates streams and durables."""
    routes: Annotated[str, Meta(pattern="^([A-Za-z][A-Za-z0-9]*)?$")] = ""
    """Password that the nodes use among themselves."""


class NatsPermissions(Struct, frozen=True, kw_only=True):
    """Of the one user that all services of a bundled NATS share."""

    deny: tuple[str, ...] = ()
    """Subjects that they may not publish on: only the admin changes streams and durables."""


class NatsStorage(Struct, frozen=True, kw_only=True):
    """The volume of one node."""

    size: Memory = "10Gi"
    """Kubernetes does not let it change after the installation."""
    class_name: str = ""
    """Empty: the cluster's default."""


class NatsValues(Struct, frozen=True, kw_only=True):
    """The broker: bundled, or one that is there already."""

    url: str = ""
    """The servers of a NATS of your own, separated by commas; empty: the bundled one."""
    nodes: Annotated[int, Meta(ge=1, le=5)] = 3
    """How many nodes it has, bundled or not: no stream can have more replicas."""
    monitoring: str = ""
    """host:port where KEDA reads the lag of a NATS that is there already."""
    account: str = "MESH"
    """The account that holds the streams; KEDA needs it."""
    credentials: NatsCredentials = NatsCredentials()
    tls: NatsTls = NatsTls()
    ignore_discovered_servers: bool = False
    """Connect only to the servers in `url`, not to others that they announce: where a load balancer
    stands before them."""
    js_domain: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]*$")] = ""
    """The JetStream domain that holds the streams, where `url` is a leaf node of another one."""
    js_api_prefix: Annotated[str, Meta(pattern=r"^([$A-Za-z0-9_-]+(\.[$A-Za-z0-9_-]+)*)?$")] = ""
    """In place of `$JS.API`, where the account imports the JetStream API of another one."""
    image: Image = "nats:2.15.1-alpine"
    """The image of the bundled NATS, 2.12 or newer."""
    existing_secret: str = ""
    """A Secret with `services`, `admin` and `routes`, the passwords of the bundled NATS."""
    passwords: NatsPasswords = NatsPasswords()
    permissions: NatsPermissions = NatsPermissions()
    sync_interval: Annotated[str, Meta(pattern=r"^(always|[0-9]+(ms|s|m))$")] = "always"
    """When stored messages are forced to disk. `always`: nothing acknowledged is lost when the
    power of all nodes fails at once; with the server's own 2m almost half of it was. It costs two
    thirds of the rate at which one publisher can store."""
    storage: NatsStorage = NatsStorage()
    resources: Resources = Resources(
        requests=Amounts(cpu="250m", memory="256Mi"), limits=Limits(memory="1Gi")
    )
    spread: Literal["preferred", "required"] = "preferred"
    """`preferred`: its nodes may share a machine if there are too few; `required`: never."""


class Sandbox(Struct, frozen=True, kw_only=True):
    """Stand-ins for the servers outside, where the system has any."""

    enabled: bool = True
    """In production set it to false, and name the real servers."""


class Scaling(Struct, frozen=True, kw_only=True):
    """What scales services whose `autoscaling.enabled` is true."""

    by: Literal["auto", "keda", "cpu"] = "auto"
    """`auto`: KEDA where the cluster has it, else their use of CPU."""


class Provision(Struct, frozen=True, kw_only=True):
    """The Job that makes streams and durables as declared, before services use them."""

    allow_data_loss: bool = False
    """Allow changes that delete stored events; for one upgrade, never permanently."""


class NetworkPolicy(Struct, frozen=True, kw_only=True):
    """Who may talk to whom; it takes a cluster network that enforces policies."""

    enabled: bool = True
    """Whether there are policies."""


class Monitoring(Struct, frozen=True, kw_only=True):
    """For a cluster with the Prometheus operator and Grafana."""

    pod_monitor: bool = False
    """A PodMonitor: Prometheus reads the metrics of every pod."""
    rules: bool = False
    """A PrometheusRule: alerts when messages wait or were given up, and when nobody is ready."""
    dashboard: bool = False
    """A ConfigMap that Grafana's sidecar loads."""
    labels: dict[str, str] = field(default_factory=dict)
    """For the objects above: the operator may look only at some."""
    lag: Positive = 1000
    """How many messages may wait for one handler for ten minutes before the alert fires."""


class Otel(Struct, frozen=True, kw_only=True):
    """OpenTelemetry: where traces go."""

    endpoint: Annotated[str, Meta(pattern=r"^(https?://[^@\s]+)?$")] = ""
    """Of a collector that takes OTLP over HTTP, such as http://collector.observability:4318. Pods
    are told, and network policies let them reach its port. More variables: `env` of a service."""


class ChartValues(Struct, frozen=True, kw_only=True):
    """Everything but services and streams."""

    image: Image = "app:1.0.0"
    """One image for every service; a tag or a digest is required."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """The pull policy of every image."""
    image_pull_secrets: tuple[str, ...] = ()
    """Names of the Secrets with which images are pulled."""
    grace: Duration = Duration(20)
    """How long a stopping pod may finish what is in flight; it is killed ten seconds later."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The lowest level that pods log: debug, info, warning or error."""
    nats: NatsValues = NatsValues()
    sandbox: Sandbox = Sandbox()
    scaling: Scaling = Scaling()
    provision: Provision = Provision()
    network_policy: NetworkPolicy = NetworkPolicy()
    monitoring: Monitoring = Monitoring()
    otel: Otel = Otel()
    node_selector: dict[str, str] = field(default_factory=dict)
    """For every pod."""
    tolerations: tuple[dict[str, Any], ...] = ()
    """For every pod."""
    priority_class: str = ""
    """For every pod."""
