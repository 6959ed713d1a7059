"""The bundled NATS: its configuration run by real servers, its passwords, its way to pods."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest
import trustme
from msgspec.structs import replace

from jetmesh.declare import StreamTuning, derive
from jetmesh.errors import BrokerError
from jetmesh.operate.audit import AuditRecord, entries, recorded
from jetmesh.protocol.streams import AUDIT
from jetmesh.protocol.subjects import audit_subject
from jetmesh.settings import NatsSettings
from jetmesh.testing import eventually
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.provision import apply, plan
from tests.deploy.conftest import Render, Rendered
from tests.deploy.nodes import address, connected, password, servers

SECONDS = 30
STREAM = {"name": "PAYMENTS", "subjects": ["payments.>"], "num_replicas": 3}


@pytest.fixture(scope="module", params=["users", "pages"])
def isolated(request: pytest.FixtureRequest, render: Render) -> Rendered:
    return render(f"nats.isolation={request.param}")


@pytest.fixture(scope="module")
def nodes(isolated: Rendered, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[int]]:
    """Three servers with the chart's own configuration and variables, on free ports."""
    with servers(isolated, tmp_path_factory.mktemp("nats")) as ports:
        yield ports


async def made(control: ControlPlane) -> None:
    """Make the stream, as soon as the servers have chosen their leader."""
    until = monotonic() + SECONDS
    while True:
        try:
            await control.api("STREAM.CREATE.PAYMENTS", STREAM)
        except BrokerError:
            if monotonic() > until:
                raise
            await asyncio.sleep(0.2)
        else:
            return


async def test_three_nodes_find_one_another_and_keep_what_only_the_operator_makes(
    isolated: Rendered, nodes: list[int]
) -> None:
    async with (
        connected(isolated, nodes, "operator") as operator,
        connected(isolated, nodes, "payments") as payments,
    ):
        await made(operator)
        info = await operator.api("STREAM.INFO.PAYMENTS")
        assert info["config"]["num_replicas"] == 3
        assert {info["cluster"]["leader"], *(r["name"] for r in info["cluster"]["replicas"])} == {
            "nats-0",
            "nats-1",
            "nats-2",
        }
        assert (await payments.publish("payments.captured.p-1", b"{}")).stream == "PAYMENTS"
        durable = {"stream_name": "PAYMENTS", "config": {"durable_name": "d"}, "action": "create"}
        for subject, body in (
            ("STREAM.DELETE.PAYMENTS", {}),
            ("STREAM.PURGE.PAYMENTS", {}),
            ("STREAM.UPDATE.PAYMENTS", STREAM),
            ("STREAM.MSG.DELETE.PAYMENTS", {"seq": 1}),
            ("CONSUMER.CREATE.PAYMENTS.d", durable),
        ):
            with pytest.raises(BrokerError):
                await payments.api(subject, body, timeout=1.0)
        assert (await operator.api("STREAM.INFO.PAYMENTS"))["state"]["messages"] == 1


async def test_whoever_is_in_another_account_is_answered_by_every_node(
    isolated: Rendered, nodes: list[int]
) -> None:
    """With `pages` the outside client and dashboards are: their questions cross nodes, too."""
    async with connected(isolated, nodes, "operator") as operator:
        await made(operator)
    for port in nodes:
        for who in ("clients", "business-dashboard"):
            async with connected(isolated, [port], who) as control:
                assert await control.api("STREAM.INFO.PAYMENTS")


async def test_the_operator_acts_in_no_name_but_its_own_and_services_in_none(
    isolated: Rendered, nodes: list[int]
) -> None:
    acts = derive([], streams={AUDIT: StreamTuning(replicas=3)})
    async with (
        connected(isolated, nodes, "operator") as operator,
        connected(isolated, nodes, "payments") as payments,
    ):
        await made(operator)  # they have a leader
        await apply(operator, await plan(operator, acts))
        async with recorded(operator, AuditRecord(act="drop"), pytest.fail):
            pass
        for control, name in (
            (payments, "operator"),
            (payments, "payments"),
            (operator, "clients"),
        ):
            with pytest.raises(BrokerError, match="permission"):
                await control.publish(audit_subject(name, "drop"), b"{}")
        with pytest.raises(BrokerError, match="permission"):
            await operator.api(f"STREAM.DELETE.{AUDIT}")

        async def are_recorded() -> bool:  # a node that follows may be behind
            return [each.by async for each in entries(operator)] == ["operator", "operator"]

        await eventually(are_recorded)


def certify(folder: Path) -> None:
    """As a new authority."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "nats")
    authority.cert_pem.write_to_path(folder / "ca.crt")
    certificate.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    certificate.private_key_pem.write_to_path(folder / "tls.key")


async def test_a_changed_certificate_is_taken_without_a_restart(
    render: Render, tmp_path: Path
) -> None:
    (tmp_path / "tls").mkdir()
    certify(tmp_path / "tls")
    rendered = render("nats.nodes=1", "nats.tls.secret=mine")
    with servers(rendered, tmp_path) as ports:
        word = password(rendered, "operator")
        settings = NatsSettings(
            url=address(ports),
            user="operator",
            password=word,
            tls_ca_file=str(tmp_path / "tls" / "ca.crt"),
        )
        async with await ControlPlane.connect(settings, name="operator", patient=True):
            certify(tmp_path / "tls")
        async with await ControlPlane.connect(settings, name="operator", patient=True):
            assert (tmp_path / "0.log").read_text().count("Server is ready") == 1


async def test_with_a_certificate_nothing_is_spoken_in_the_clear(
    render: Render, tmp_path: Path
) -> None:
    """Neither by clients nor between the nodes, which know one another by it."""
    (tmp_path / "tls").mkdir()
    certify(tmp_path / "tls")
    rendered = render("nats.tls.secret=mine")
    with servers(rendered, tmp_path) as ports:
        word = password(rendered, "operator")
        settings = NatsSettings(url=address(ports), user="operator", password=word)
        known = replace(settings, tls_ca_file=str(tmp_path / "tls" / "ca.crt"))
        async with await ControlPlane.connect(known, name="operator", patient=True) as control:
            await made(control)  # by all three
            info = await control.api("STREAM.INFO.PAYMENTS")
            assert len(info["cluster"]["replicas"]) == 2
        with pytest.raises(BrokerError, match="certificate"):
            await ControlPlane.connect(settings, name="trusts nobody")


async def test_a_changed_password_is_taken_without_a_restart_and_disturbs_nobody_else(
    render: Render, tmp_path: Path
) -> None:
    rendered = render("nats.nodes=1")
    log = tmp_path / "0.log"
    with servers(rendered, tmp_path) as ports:

        async def opens(word: str) -> bool:
            settings = NatsSettings(url=address(ports), user="payments", password=word)
            settings = replace(settings, inbox_prefix="_INBOX_payments")
            try:
                async with await ControlPlane.connect(settings, name="payments"):
                    return True
            except BrokerError:
                return False

        async with connected(rendered, ports, "operator") as operator:
            assert await opens(password(rendered, "payments"))
            odd = 'a "b" \\ $c'
            (tmp_path / "passwords" / "NATS_PAYMENTS_PASSWORD").write_text(odd)
            await eventually(lambda: opens(odd), within=SECONDS)
            assert not await opens(password(rendered, "payments"))
            assert await operator.user() == "operator"
            assert operator._session._client.stats["reconnects"] == 0
            (tmp_path / "passwords" / "NATS_PAYMENTS_PASSWORD").write_text("")
            await eventually(lambda: "no password in" in log.read_text(), within=SECONDS)
            assert not await opens("")
            assert await opens(odd), "an empty one changes nothing"
        assert log.read_text().count("Server is ready") == 1
        assert log.read_text().count("Reloaded server configuration") == 1


def test_passwords_are_in_memory_where_the_exporter_cannot_read_them(render: Render) -> None:
    """No emptyDir: `kubectl drain` would refuse the machine without a flag."""
    rendered = render("nats.exporter.enabled=true")
    assert "emptyDir" not in str(rendered.one("StatefulSet", "nats"))
    pod = rendered.one("StatefulSet", "nats")["spec"]["template"]["spec"]
    users = {
        each["name"]: each["securityContext"].get("runAsUser", pod["securityContext"]["runAsUser"])
        for each in pod["containers"]
    }
    assert users["exporter"] != users["nats"]
    [exporter] = [each for each in pod["containers"] if each["name"] == "exporter"]
    assert "volumeMounts" not in exporter


def test_only_the_nodes_get_the_key_and_pods_of_services_the_authority(render: Render) -> None:
    rendered = render("nats.tls.issuer.name=ca", "test.enabled=always")
    secrets = {
        name: volume["secret"]
        for name, pod in rendered.workloads()
        for volume in pod["spec"]["volumes"]
        if volume["name"] == "tls"
    }
    assert secrets.pop("StatefulSet/nats") == {"secretName": "nats-tls"}
    authority = {"secretName": "nats-tls", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    assert {"Deployment/payments", "Pod/example"} < secrets.keys()
    assert all(secret == authority for secret in secrets.values())
    certificate = rendered.one("Certificate", "nats")["spec"]
    assert certificate["secretName"] == "nats-tls"
    assert {"nats", "nats.shop.svc", "*.nats-nodes"} <= set(certificate["dnsNames"])
    text = rendered.one("ConfigMap", "payments")["data"]["jetmesh.toml"]
    assert 'tls_ca_file = "/nats/tls/ca.crt"' in text


def test_no_password_is_an_argument_which_everybody_on_the_machine_reads(render: Render) -> None:
    for name, pod in render().workloads():
        for container in pod["spec"]["containers"]:
            said = [*container.get("command", []), *container.get("args", [])]
            assert not [each for each in said if "PASSWORD" in each or "@" in each], name


async def test_nobody_gets_in_without_a_password(nodes: list[int]) -> None:
    settings = NatsSettings(url=f"nats://127.0.0.1:{nodes[0]}")
    with pytest.raises(BrokerError):
        await ControlPlane.connect(settings, name="nobody")


def test_passwords_are_made_once_per_rendering_and_begin_with_a_letter(render: Render) -> None:
    words = render().one("Secret", "nats")["stringData"]
    assert all(word[0].isalpha() and len(word) == 32 for word in words.values())
    assert len(set(words.values())) == len(words)


def test_no_password_is_in_a_configmap_or_an_argument(render: Render) -> None:
    rendered = render()
    words = rendered.one("Secret", "nats")["stringData"].values()
    others = str([o for o in rendered.objects if o["kind"] != "Secret"])
    assert not [word for word in words if word in others]


def test_a_single_node_and_one_of_several_keep_their_streams_apart(render: Render) -> None:
    """One of several removes what the others do not know: also what a single one has stored."""
    folders = [
        line.split()
        for nodes in (1, 3)
        for line in render(f"nats.nodes={nodes}")
        .one("ConfigMap", "nats")["data"]["nats.conf"]
        .splitlines()
        if "store_dir" in line
    ]
    assert folders == [["store_dir:", "/data/single"], ["store_dir:", "/data/cluster"]]


def test_one_node_has_no_routes(render: Render) -> None:
    rendered = render("nats.nodes=1")
    assert "cluster" not in rendered.one("ConfigMap", "nats")["data"]["nats.conf"]
    [container] = rendered.one("StatefulSet", "nats")["spec"]["template"]["spec"]["containers"]
    assert "args" not in container


@pytest.mark.parametrize(
    ("limit", "told"), [("1Gi", "921MiB"), ("512Mi", "460MiB"), ("1.5Gi", "1382MiB")]
)
def test_a_node_knows_that_its_memory_ends(render: Render, limit: str, told: str) -> None:
    rendered = render(f"nats.resources.limits.memory={limit}")
    [container] = rendered.one("StatefulSet", "nats")["spec"]["template"]["spec"]["containers"]
    assert {"name": "GOMEMLIMIT", "value": told} in container["env"]


def test_a_nats_of_ones_own_is_reached_with_its_secret_and_none_is_bundled(render: Render) -> None:
    rendered = render(
        "nats.url=tls://nats.example.test",
        "nats.credentials.kind=creds",
        "nats.credentials.secret=mesh",
        "nats.credentials.adminSecret=mesh-admin",
        "nats.tls.secret=ca",
        "nats.tls.first=true",
        "nats.ignoreDiscoveredServers=true",
    )
    assert not rendered.kind("StatefulSet")
    assert "nats" not in rendered.kind("Secret")
    text = rendered.one("ConfigMap", "payments")["data"]["jetmesh.toml"]
    assert 'creds_file = "/nats/identity/creds"' in text
    assert 'tls_ca_file = "/nats/tls/ca.crt"' in text
    assert "tls_first = true" in text
    assert "ignore_discovered_servers = true" in text
    assert "js_" not in text

    def secrets(kind: str, name: str) -> set[str]:
        volumes = rendered.one(kind, name)["spec"]["template"]["spec"]["volumes"]
        return {v["secret"]["secretName"] for v in volumes if "secret" in v}

    assert secrets("Deployment", "payments") == {"mesh", "ca"}
    assert secrets("Job", "provision-before") == {"mesh-admin", "ca"}


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("nats.jsDomain=hub", 'js_domain = "hub"'),
        ("nats.jsApiPrefix=$JS.hub.API", 'js_api_prefix = "$JS.hub.API"'),
    ],
)
def test_jetstream_may_be_elsewhere(render: Render, value: str, line: str) -> None:
    rendered = render("nats.url=nats://nats.example.test", value)
    for name in ("payments", "provision-before"):
        assert line in rendered.one("ConfigMap", name)["data"]["jetmesh.toml"]


@pytest.mark.parametrize(
    ("kind", "variables"),
    [
        ("password", {"JETMESH__NATS__USER": "user", "JETMESH__NATS__PASSWORD": "password"}),
        ("token", {"JETMESH__NATS__TOKEN": "token"}),
    ],
)
def test_who_we_are_comes_from_the_secret(
    render: Render, kind: str, variables: dict[str, str]
) -> None:
    rendered = render(
        "nats.url=nats://nats.example.test",
        f"nats.credentials.kind={kind}",
        "nats.credentials.secret=mesh",
    )
    [container] = rendered.one("Deployment", "payments")["spec"]["template"]["spec"]["containers"]
    keys = {
        each["name"]: each["valueFrom"]["secretKeyRef"]
        for each in container["env"]
        if "valueFrom" in each
    }
    assert keys == {name: {"name": "mesh", "key": key} for name, key in variables.items()}
