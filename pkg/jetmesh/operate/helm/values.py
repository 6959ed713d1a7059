"""What may be set of a chart besides services and streams, with its defaults and why."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from jetmesh.declare.duration import Duration
from jetmesh.operate.helm.kinds import (
    Account,
    Cidr,
    Cpu,
    CpuLimit,
    Host,
    HostAndPort,
    Image,
    Key,
    LabelValue,
    Memory,
    NeededName,
    ObjectName,
    Password,
    Pods,
    Port,
    Positive,
    SomePods,
    Variable,
)


class Amounts(Struct, frozen=True, kw_only=True):
    """What is kept free for a pod where it runs."""

    cpu: Cpu = "50m"
    """Cores: kept free for a pod, which takes more while there is more."""
    memory: Memory = "64Mi"
    """Memory: kept free for a pod."""


class Limits(Struct, frozen=True, kw_only=True):
    """What a pod may take."""

    cpu: CpuLimit = ""
    """Empty: none, which would slow a pod down while cores are idle; a quota may want one."""
    memory: Memory = "192Mi"
    """A pod that takes more is killed and started again."""


class Resources(Struct, frozen=True, kw_only=True):
    """Of one pod."""

    requests: Amounts = Amounts()
    limits: Limits = Limits()


class Scheduled(Struct, frozen=True, kw_only=True):
    """Where pods run, and what is written on them."""

    pod_annotations: dict[Key, str] = field(default_factory=dict)
    """Written on its pods, beside those for every pod."""
    pod_labels: dict[Key, LabelValue] = field(default_factory=dict)
    """The same for labels; the chart's own win."""
    node_selector: dict[Key, LabelValue] = field(default_factory=dict)
    """Labels of the machines on which its pods run, beside those for every pod."""
    tolerations: tuple[dict[str, Any], ...] = ()
    """Taints that its pods tolerate, beside those for every pod."""
    affinity: dict[str, Any] = field(default_factory=dict)
    """As in a pod; in place of that for every pod."""
    priority_class: ObjectName = ""
    """In place of that for every pod."""


class ServiceAccount(Struct, frozen=True, kw_only=True):
    """For clouds that give rights to a ServiceAccount."""

    annotations: dict[Key, str] = field(default_factory=dict)
    """Such as the name of a role."""
    labels: dict[Key, LabelValue] = field(default_factory=dict)
    """Written beside the chart's own, which win."""


class Autoscaling(Struct, frozen=True, kw_only=True):
    """How the number of pods follows the load."""

    enabled: bool = False
    """The autoscaler sets the number of pods; `replicas` is ignored."""
    min_replicas: SomePods = 1
    max_replicas: SomePods = 8
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
    class_name: ObjectName = ""
    """Of the controller that serves it; empty: the cluster's default."""
    host: Host = ""
    """The name under which the pages are reached."""
    tls_secret: ObjectName = ""
    """A Secret with `tls.crt` and `tls.key`; empty: http."""
    annotations: dict[Key, str] = field(default_factory=dict)
    """What its controller is told."""


class ServiceValues(Scheduled, frozen=True, kw_only=True):
    """One service."""

    service_account: ServiceAccount = ServiceAccount()
    replicas: Pods = 2
    """Pods; two, so that one may be down."""
    resources: Resources = Resources()
    autoscaling: Autoscaling = Autoscaling()
    env: dict[Variable, str] = field(default_factory=dict)
    """More variables for its pods."""
    existing_secret: ObjectName = ""
    """A Secret whose keys are variables of its pods, such as those of `secrets`."""
    egress_to: tuple[Cidr, ...] = ("0.0.0.0/0", "::/0")
    """The networks of the servers outside that it talks to; the ports come from its settings."""
    ingress: Ingress = Ingress()


class NatsCredentials(Struct, frozen=True, kw_only=True):
    """How to log in to a NATS of your own."""

    kind: Literal["none", "password", "token", "creds", "nkey"] = "none"
    """What the Secret holds."""
    secret: ObjectName = ""
    """A Secret with `user` and `password`, `token`, `creds` or `nkey`, as `kind` says."""
    admin_secret: ObjectName = ""
    """The same for provisioning; empty: that of the services, which then may make streams."""


class NatsIssuer(Struct, frozen=True, kw_only=True):
    """cert-manager's, for the certificate of the bundled NATS."""

    name: ObjectName = ""
    """Empty: none is asked for a certificate."""
    kind: Literal["Issuer", "ClusterIssuer"] = "Issuer"
    """Whether it is of this namespace or of the cluster."""


class NatsTls(Struct, frozen=True, kw_only=True):
    """Encrypted connections to NATS and, if it is the bundled one, between its nodes."""

    secret: ObjectName = ""
    """A Secret with `ca.crt`; for the bundled NATS with `tls.crt` and `tls.key`, too."""
    issuer: NatsIssuer = NatsIssuer()
    generate: bool = False
    """The chart makes an authority and a certificate of the bundled NATS, once, and keeps them."""
    client: bool = False
    """It holds `tls.crt` and `tls.key` of ours, too."""
    first: bool = False
    """TLS from the first byte, for servers with `handshake_first`."""


class NatsPasswords(Struct, frozen=True, kw_only=True):
    """Empty ones are made once and kept; a letter must be first, the server reads 1k as 1000."""

    operator: Password = ""
    """Password of the one who makes streams and durables, and reads everything."""
    clients: Password = ""
    """Password of whoever publishes what comes from outside, such as people with the nats CLI."""
    monitor: Password = ""
    """Password of who looks, and does nothing else."""
    routes: Password = ""
    """Password that the nodes use among themselves."""
    seed: Annotated[str, Meta(pattern=r"^(\S{20,})?$")] = ""
    """A secret of your own, at least 20 characters, of which those that are empty are derived: the
    same each time, also where helm cannot see the cluster."""


class NatsStorage(Struct, frozen=True, kw_only=True):
    """The volume of one node."""

    size: Memory = "10Gi"
    """Kubernetes does not let it change after the installation."""
    class_name: ObjectName = ""
    """Empty: the cluster's default."""


class NatsExporter(Struct, frozen=True, kw_only=True):
    """The server's own metrics: a container beside each bundled node, which Prometheus asks."""

    enabled: bool = False
    """Whether there is one; `monitoring.podMonitor` and `monitoring.rules` then know it."""
    image: Image = "natsio/prometheus-nats-exporter:0.17.3"
    """The image of the exporter."""
    resources: Resources = Resources(
        requests=Amounts(cpu="10m", memory="32Mi"), limits=Limits(memory="64Mi")
    )


class NatsValues(Scheduled, frozen=True, kw_only=True):
    """The broker: bundled, or one that is there already."""

    url: str = ""
    """The servers of a NATS of your own, separated by commas; empty: the bundled one."""
    nodes: Literal[1, 3, 5] = 3
    """How many nodes it has, bundled or not: no stream can have more replicas. An even number
    survives no more than the odd one below it."""
    monitoring: HostAndPort = ""
    """host:port where KEDA reads the lag of a NATS that is there already."""
    account: Account = "MESH"
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
    """The image of the bundled NATS, 2.14 or newer."""
    isolation: Literal["users", "pages", "all"] = "pages"
    """Of the bundled NATS, where each service may do what it needs and nothing else. `users`: all
    in one account. `pages`: whoever is outside and each service with pages in an account of its
    own, `all`: every service; so no answer can be sent onto a subject of somebody else."""
    existing_secret: ObjectName = ""
    """A Secret with the passwords of the bundled NATS: `operator`, `clients`, `monitor`, `routes`,
    and one under the name of each service."""
    passwords: NatsPasswords = NatsPasswords()
    sync_interval: Annotated[str, Meta(pattern=r"^(always|[1-9][0-9]{0,5}(ms|s|m))$")] = "always"
    """When stored messages are forced to disk. `always`: nothing acknowledged is lost when the
    power of all nodes fails at once; with the server's own 2m almost half of it was. It costs two
    thirds of the rate at which one publisher can store."""
    storage: NatsStorage = NatsStorage()
    resources: Resources = Resources(
        requests=Amounts(cpu="250m", memory="512Mi"), limits=Limits(memory="1Gi")
    )
    exporter: NatsExporter = NatsExporter()
    spread: Literal["preferred", "required"] = "preferred"
    """`preferred`: its nodes may share a machine if there are too few; `required`: never."""


class Sandbox(Struct, frozen=True, kw_only=True):
    """Stand-ins for the servers outside, where the system has any."""

    enabled: bool = True
    """In production set it to false, and name the real servers."""
    resources: Resources = Resources(limits=Limits(memory="256Mi"))


class Scaling(Struct, frozen=True, kw_only=True):
    """What scales services whose `autoscaling.enabled` is true."""

    by: Literal["auto", "keda", "cpu"] = "auto"
    """`auto`: KEDA where the cluster has it, else their use of CPU."""


class Provision(Struct, frozen=True, kw_only=True):
    """The Job that makes streams and durables as declared, before services use them."""

    allow_data_loss: bool = False
    """Allow changes that delete stored events; for one upgrade, never permanently."""
    resources: Resources = Resources(requests=Amounts(memory="96Mi"))


class CanDeploy(Struct, frozen=True, kw_only=True):
    """`jetmesh can-deploy` before an upgrade or a rollback, where a NATS is there to be asked."""

    enabled: bool = False
    """Refuse code that cannot read what is stored; `--no-hooks` goes past it."""
    accept: Annotated[int, Meta(ge=0)] = 0
    """So many unreadable messages refuse nothing."""
    resources: Resources = Resources(requests=Amounts(memory="128Mi"))


class Test(Struct, frozen=True, kw_only=True):
    """What `helm test` runs; it publishes, so with real servers it buys something."""

    enabled: Literal["auto", "always", "never"] = "auto"
    """`auto`: only where helm sees the cluster, so that what `helm template` prints can be applied
    without running it."""
    resources: Resources = Resources(requests=Amounts(memory="96Mi"))


class NetworkPolicy(Struct, frozen=True, kw_only=True):
    """Who may talk to whom; it takes a cluster network that enforces policies."""

    enabled: bool = True
    """Whether there are policies."""
    dns: tuple[dict[str, Any], ...] = (
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        },
    )
    """Who answers DNS, as in the `to` of a policy; with NodeLocal DNSCache add its `ipBlock`."""
    dns_port: Port = 53
    """The port on which these listen; 5353 on OpenShift."""


class Monitoring(Struct, frozen=True, kw_only=True):
    """For a cluster with the Prometheus operator and Grafana."""

    pod_monitor: bool = False
    """A PodMonitor: Prometheus reads the metrics of every pod."""
    rules: bool = False
    """A PrometheusRule: alerts when messages wait or were given up, and when nobody is ready."""
    dashboard: bool = False
    """A ConfigMap that Grafana's sidecar loads."""
    labels: dict[Key, LabelValue] = field(default_factory=dict)
    """For the objects above: the operator may look only at some."""
    lag: Positive = 1000
    """How many messages may wait for one handler for ten minutes before the alert fires."""


class Otel(Struct, frozen=True, kw_only=True):
    """OpenTelemetry: where traces go."""

    endpoint: Annotated[
        str,
        Meta(
            pattern=r"^(https?://([A-Za-z0-9_.-]+|\[[0-9a-fA-F:]+\])(:[1-9][0-9]{0,4})?(/\S*)?)?$"
        ),
    ] = ""
    """Of a collector that takes OTLP over HTTP, such as http://collector.observability:4318. Pods
    are told, and network policies let them reach its port. More variables: `env` of a service."""


class ChartValues(Struct, frozen=True, kw_only=True):
    """Everything but services and streams."""

    image: Image = "app:1.0.0"
    """One image for every service; a tag or a digest is required."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """The pull policy of every image."""
    image_pull_secrets: tuple[NeededName, ...] = ()
    """Names of the Secrets with which images are pulled."""
    grace: Duration = Duration(20)
    """How long a stopping pod may finish what is in flight; it is killed ten seconds later."""
    linger: Duration = Duration(5)
    """How long a stopping pod with pages goes on answering them, until whoever sends people there
    has noticed that it stops; the load balancer in front of an Ingress may need more."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The lowest level that pods log: debug, info, warning or error."""
    nats: NatsValues = NatsValues()
    sandbox: Sandbox = Sandbox()
    scaling: Scaling = Scaling()
    provision: Provision = Provision()
    can_deploy: CanDeploy = CanDeploy()
    test: Test = Test()
    network_policy: NetworkPolicy = NetworkPolicy()
    monitoring: Monitoring = Monitoring()
    otel: Otel = Otel()
    service_account: ServiceAccount = ServiceAccount()
    pod_annotations: dict[Key, str] = field(default_factory=dict)
    """For every pod."""
    pod_labels: dict[Key, LabelValue] = field(default_factory=dict)
    """For every pod."""
    node_selector: dict[Key, LabelValue] = field(default_factory=dict)
    """For every pod."""
    tolerations: tuple[dict[str, Any], ...] = ()
    """For every pod."""
    affinity: dict[str, Any] = field(default_factory=dict)
    """For every pod."""
    priority_class: ObjectName = ""
    """For every pod."""
