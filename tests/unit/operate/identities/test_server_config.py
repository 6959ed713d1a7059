"""The configuration of nats-server that is derived from a topology."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from msgspec import Struct

from jetmesh import Service, derive, event
from jetmesh.errors import DeclarationError, UsageError
from jetmesh.operate.identities import (
    CLIENT,
    MONITOR,
    OPERATOR,
    RESERVED,
    Isolation,
    Nkeys,
    Passwords,
    ServerConfig,
    Variables,
    server_config,
)


@event("in.placed", key="id")
class Placed(Struct, frozen=True):
    id: str


@event("out.accepted", key="id", decision="out.*")
class Accepted(Struct, frozen=True):
    id: str


worker = Service("worker")
shop = Service("shop")
shop.publishes(Placed)


@worker.on(Placed)
def decide(placed: Placed) -> Accepted:
    return Accepted(placed.id)


@shop.web
def pages() -> list[object]:
    return []


def config(isolation: Isolation, **more: object) -> ServerConfig:
    given = {"credentials": Variables(), **more}
    return server_config(derive([worker, shop]), isolation=isolation, **given)  # type: ignore[arg-type] # a test gives what it likes


@pytest.mark.parametrize(
    ("isolation", "apart"),
    [("users", []), ("pages", [CLIENT, "shop"]), ("all", [CLIENT, "shop", "worker"])],
)
def test_who_has_an_account_of_its_own(isolation: Isolation, apart: list[str]) -> None:
    found = config(isolation)
    assert [each.name for each in found.identities] == [OPERATOR, "shop", "worker", CLIENT, MONITOR]
    homes = {each.name: each.account for each in found.identities}
    assert sorted(name for name, account in homes.items() if account != "MESH") == apart
    assert len({homes[name] for name in apart}) == len(apart)


def test_the_outside_client_publishes_what_no_service_makes_and_looks() -> None:
    for isolation in ("users", "pages", "all"):
        permissions = config(isolation).identity(CLIENT).permissions
        assert permissions is not None
        events = [each for each in permissions.publish if not each.startswith("$")]
        assert events == ["in.placed", "in.placed.*"]
        verbs = [each for each in permissions.publish if each.startswith("$JS.API.")]
        assert all(verb.split(".")[3].rstrip("*") in "INFO NAMES LIST" for verb in verbs[1:])


def test_whoever_does_not_log_in_is_the_outside_client_if_that_is_wanted() -> None:
    assert "no_auth_user" not in config("pages").text
    assert config("pages", no_auth_user=True).text.endswith('no_auth_user: "clients"\n')


def test_users_without_an_account_are_those_of_a_server_without_accounts() -> None:
    text = config("users", account="").text
    assert "authorization {" in text
    assert "accounts {" not in text
    with pytest.raises(UsageError, match="need a name"):
        config("pages", account="")


def test_the_servers_own_account_keeps_the_name_that_it_has() -> None:
    """Nodes of a cluster that call it differently do not find one another."""
    assert '  "SYS": {}\n}\nsystem_account: "SYS"\n' in config("pages", system_account="SYS").text
    assert "system_account" not in config("pages").text


def test_accounts_need_the_streams_to_be_here() -> None:
    assert '"$JS.hub.API.INFO"' in config("users", js_api="$JS.hub.API").text
    with pytest.raises(UsageError, match="elsewhere"):
        config("pages", js_api="$JS.hub.API")


@pytest.mark.parametrize("name", RESERVED)
def test_no_service_takes_the_name_of_another_identity(name: str) -> None:
    with pytest.raises(DeclarationError, match=name):
        server_config(derive([Service(name)]), isolation="users", credentials=Variables())


def test_an_export_is_for_exactly_those_who_import_it() -> None:
    text = config("all").text
    assert '{ service: "out.accepted.*", accounts: ["worker"] }' in text
    assert text.count('"out.accepted.*"') == 3, "permission, export, import"
    assert (
        '{ service: "$JS.API.CONSUMER.MSG.NEXT.IN.worker-decide", accounts: ["worker"],'
        ' response_type: stream, threshold: "35s" }'
    ) in text


def test_seeds_are_kept_for_their_owner_alone_and_the_server_gets_none(tmp_path: Path) -> None:
    names = ["worker", "shop", *RESERVED]
    keys = Nkeys.kept_in(tmp_path / "keys", names)
    assert Nkeys.kept_in(tmp_path / "keys", names) == keys
    found = config("pages", credentials=keys)
    for name in names:
        file = tmp_path / "keys" / f"{name}.nk"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.read_text().strip() not in found.text
        assert keys.public[name] in found.text
        assert found.settings(name)["nkey_seed_file"] == str(file)
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert str(tmp_path) not in found.text


def test_what_is_no_seed_is_an_error_that_names_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "worker.nk").write_text("nothing")
    with pytest.raises(UsageError, match="Remove the file"):
        Nkeys.kept_in(tmp_path, ["worker"])
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be kept"):
        Nkeys.kept_in(tmp_path / "file", ["worker"])


def test_settings_are_what_an_identity_logs_in_with() -> None:
    assert config("users").settings("worker") == {"user": "worker", "inbox_prefix": "_INBOX_worker"}
    known = dict.fromkeys(["worker", "shop", *RESERVED], "$2a$hash")
    hashed = Passwords(known, {"worker": "plain"})
    found = config("users", credentials=hashed)
    assert 'user: "worker", password: "$2a$hash"' in found.text
    assert "plain" in found.settings("worker").values()
    assert "$2a$hash" not in repr(hashed)
