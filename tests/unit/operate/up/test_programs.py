"""Which programs are started: how many of each, where they listen, what they are told."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from jetmesh.declare import Sandbox
from jetmesh.errors import UsageError
from jetmesh.operate.project import Project
from jetmesh.operate.undeclared import Declared
from jetmesh.operate.up.access import Access
from jetmesh.operate.up.ports import Ports, free_port
from jetmesh.operate.up.prepare import Described, Prepared
from jetmesh.operate.up.programs import Chosen, Programs, programs

VARIABLE = "JETMESH__SERVICES__GATE__HTTP__PORT"


def prepared(**values: Any) -> Prepared:
    services = {
        "gate": Described("garage.gate", pages=False),
        "desk": Described("garage.desk", True),
    }
    return Prepared(
        **{
            "name": "garage",
            "grace": 1.0,
            "services": services,
            "port": 0,
            "port_is_set": False,
            "sandboxes": [],
            "external_events": {},
            "declared": Declared({}, {}, {}),
            "environment": {},
            **values,
        }
    )


def found(
    root: Path,
    given: Prepared,
    chosen: Chosen | None = None,
    *,
    everybody: bool = False,
    **environ: str,
) -> Programs:
    access = Access("nats://127.0.0.1:4222", everybody)
    project = Project(root, "garage.system")
    return programs(project, given, chosen or Chosen(), Ports(), environ, access)


def test_a_service_has_its_own_identity_and_no_other(tmp_path: Path) -> None:
    identity = "JETMESH__NATS__NKEY_SEED_FILE"
    for each in found(tmp_path, prepared(), JETMESH__NATS__CREDS_FILE="ours.creds").services:
        assert Path(each.environ[identity]).name == f"{each.service}.nk"
        assert each.environ["JETMESH__NATS__CREDS_FILE"] == "", "that of production"
        told = " ".join(each.environ.values())
        assert [name for name in ("desk", "gate") if f"{name}.nk" in told] == [each.service]


def test_a_sandbox_has_no_identity(tmp_path: Path) -> None:
    main = tmp_path / "cmd" / "stand-in" / "main.py"
    main.parent.mkdir(parents=True)
    main.touch()
    sandboxes = [Sandbox("stand-in", ports={"http": 0})]
    for each in found(tmp_path, prepared(sandboxes=sandboxes)).sandboxes:
        assert "JETMESH__NATS__NKEY_SEED_FILE" not in each.environ


def test_a_service_without_a_program_is_run_from_its_module(tmp_path: Path) -> None:
    main = tmp_path / "cmd" / "gate" / "main.py"
    main.parent.mkdir(parents=True)
    main.touch()
    targets = {each.name: each.command[-1] for each in found(tmp_path, prepared()).services}
    assert targets == {"desk": "garage.desk", "gate": str(main)}


def test_only_what_is_wanted_is_started(tmp_path: Path) -> None:
    only = found(tmp_path, prepared(), Chosen(only=("gate",)))
    assert [each.name for each in only.services] == ["gate"]


def test_replicas_have_names_and_ports_of_their_own(tmp_path: Path) -> None:
    services = found(tmp_path, prepared(), Chosen(replicas={"gate": 3})).services
    gates = [each for each in services if each.service == "gate"]
    assert [each.name for each in gates] == ["gate", "gate#2", "gate#3"]
    ports = {each.environ[VARIABLE] for each in gates}
    assert len(ports) == 3
    assert all(each.url.endswith(each.environ[VARIABLE]) for each in gates)
    assert all(each.name in each.command for each in gates)  # what `ps` and up.json know it by


@pytest.mark.parametrize(
    ("chosen", "cause", "remedy"),
    [
        (Chosen(only=("gat",)), "no service 'gat'", "Did you mean gate?"),
        (Chosen(replicas={"pay": 2}), "no service 'pay'", "There are gate, desk."),
        (Chosen(only=("gate",), replicas={"desk": 2}), "leaves out", "Add --only desk"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused(
    tmp_path: Path, chosen: Chosen, cause: str, remedy: str
) -> None:
    with pytest.raises(UsageError, match=cause) as told:
        found(tmp_path, prepared(), chosen)
    assert remedy in told.value.remedy


def test_ports_that_settings_fix_are_kept(tmp_path: Path) -> None:
    own, shared = free_port(), free_port()
    services = {
        "gate": Described("garage.gate", pages=False, port=own),
        "desk": Described("garage.desk", pages=False),
        "till": Described("garage.till", pages=False),
    }
    given = prepared(services=services, port=shared, port_is_set=True)
    urls = {each.name: each.url for each in found(tmp_path, given).services}
    assert urls["gate"].endswith(f":{own}")
    assert urls["desk"].endswith(f":{shared}")
    assert len(set(urls.values())) == 3


def test_a_fixed_port_that_is_taken_is_refused_by_the_name_of_its_setting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        services = {"gate": Described("garage.gate", pages=False, port=taken)}
        with pytest.raises(UsageError, match=r"services\.gate\.http\.port"):
            found(tmp_path, prepared(services=services))
        with pytest.raises(UsageError, match=r"of desk \(http\.port\)"):
            found(tmp_path, prepared(port=taken, port_is_set=True))


def test_addresses_are_told_unless_they_are_of_what_is_not_started(tmp_path: Path) -> None:
    given = prepared(environment={"DESK_URL": "{desk}/x", "GATE_URL": "{gate}"})
    told = found(tmp_path, given, Chosen(only=("desk",)))
    assert told.variables.keys() == {"DESK_URL"}
    assert told.variables["DESK_URL"] == f"{told.services[0].url}/x"
    assert found(tmp_path, given, DESK_URL="http://else").services[0].environ["DESK_URL"] == (
        "http://else"
    )


def test_a_secret_is_made_once_kept_from_others_and_carried_by_the_link(tmp_path: Path) -> None:
    given = prepared(environment={"DESK_TOKEN": "{secret:desk}", "DESK_URL": "{desk}"})
    given.links["desk"] = "/?token={DESK_TOKEN}"
    first, again = found(tmp_path, given), found(tmp_path, given)
    secret = first.variables["DESK_TOKEN"]
    assert len(secret) > 20
    assert again.variables["DESK_TOKEN"] == secret
    [file] = tmp_path.rglob("secrets.json")
    assert file.stat().st_mode & 0o777 == 0o600
    links = {each.name: each.link for each in first.services}
    assert links["desk"] == f"/?token={secret}"
    assert all(not link for name, link in links.items() if name != "desk")
    own = found(tmp_path, given, DESK_TOKEN="of mine").services  # noqa: S106 - opens nothing
    assert {each.link for each in own if each.link} == {"/?token=of mine"}


@pytest.mark.parametrize("everybody", [True, False])
def test_pages_are_open_where_the_broker_is(tmp_path: Path, *, everybody: bool) -> None:
    given = prepared(environment={"DESK_OPEN": "{open}"})
    told = found(tmp_path, given, everybody=everybody).variables
    assert told == ({"DESK_OPEN": "true"} if everybody else {})


def test_a_sandbox_needs_a_program(tmp_path: Path) -> None:
    given = prepared(sandboxes=[Sandbox("stand-in", {"http": 0})])
    with pytest.raises(UsageError, match="stand-in cannot be started: there is no"):
        found(tmp_path, given)
    left = found(tmp_path, given, Chosen(sandboxes=False)).sandboxes
    assert [each.name for each in left] == ["contract-pages"]


def test_services_are_told_where_the_contracts_are_shown(tmp_path: Path) -> None:
    given = prepared(environment={"DESK_CONTRACTS": "{contract-pages}"})
    told = found(tmp_path, given)
    [pages] = told.sandboxes
    assert told.variables == {"DESK_CONTRACTS": pages.url}
    assert not [name for name in pages.environ if "NKEY" in name], "it has no identity"
    assert found(tmp_path, given, Chosen(pages=False)).variables == {}
