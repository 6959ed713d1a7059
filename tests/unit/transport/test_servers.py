"""Addresses of servers: read, learned, written, waited for."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from jetmesh.errors import SettingsError
from jetmesh.settings import Login, NatsSettings
from jetmesh.transport.auth import credentials
from jetmesh.transport.servers import Server, Servers, delays, in_words

TELLER = Server("a", 1)


def test_an_address_is_written_so_that_it_can_be_read_again() -> None:
    for server in (Server("::1", 4222), Server("broker", 1)):
        assert [*Servers(NatsSettings(url=str(server)))] == [server]


def test_each_server_gets_the_user_of_its_own_address_and_a_learned_one_its_tellers() -> None:
    settings = NatsSettings(url="nats://u:p@a,nats://t@b,nats://c", user="us", password="ps")  # noqa: S106 - made up
    servers = Servers(settings)
    first, second, third = servers
    said = [credentials(settings, "", each.login) for each in servers]
    assert said == [
        {"user": "u", "pass": "p"},
        {"auth_token": "t"},
        {"user": "us", "pass": "ps"},
    ]
    for source in (first, second, third):
        servers.learn(["new:1", "b"], source)
        assert [*servers][-1].login is source.login
        assert [*servers][1].login is second.login, "what is configured stays as it is"
    servers.learn(["nats://evil:x@new:1"], first)
    assert [*servers][-1].login is first.login, "nobody tells us who we are"
    assert "p" not in repr(first).partition("(")[2].replace("port", ""), "not in a traceback"


def test_a_file_with_credentials_wins_over_the_user_of_an_address(tmp_path: Path) -> None:
    seed = tmp_path / "seed"
    seed.write_text("SUAMK2FG4MI6UE3ACF3FK3OIQBCEIEZV7NSWFFEW63UXMRLFM2XLAXK4GY")
    settings = NatsSettings(url="nats://u:p@a", nkey_seed_file=str(seed))
    assert {*credentials(settings, "n", Login("u", "p"))} == {"nkey", "sig"}


def test_a_server_of_a_large_cluster_is_tried_without_a_round_over_all_of_them() -> None:
    servers = Servers(NatsSettings(url="a:1,b:2"))
    servers.learn([f"10.0.{n // 250}.{n % 250}:4222" for n in range(3000)], TELLER)
    rounds = [[*servers] for _ in range(50)]
    assert all(len(each) == 2 + 16 for each in rounds)
    assert all(str(each[0]) == "a:1" for each in rounds)
    assert len({server for each in rounds for server in each}) > 100, "others each time"
    assert str(servers).endswith("and 240 more")


def test_configured_servers_come_first_and_learned_ones_replace_one_another() -> None:
    servers = Servers(NatsSettings(url="a:1, b:2"))
    servers.learn(["b:2", "c:3", "", "::::"], TELLER)
    assert str(servers) == "a:1, b:2, c:3"
    servers.learn(["d:4"], TELLER)
    assert str(servers) == "a:1, b:2, d:4"


@pytest.mark.parametrize("nothing", [None, (), ["::::"]])
def test_an_info_that_tells_of_no_server_keeps_what_is_known(nothing: list[str] | None) -> None:
    servers = Servers(NatsSettings(url="a:1"))
    servers.learn(["b:2"], TELLER)
    servers.learn(nothing, TELLER)
    assert str(servers) == "a:1, b:2"


def test_a_learned_address_is_checked_for_the_name_that_we_know_its_cluster_by() -> None:
    servers = Servers(NatsSettings(url="tls://broker.example.test:4222"))
    told_by = next(iter(servers))
    servers.learn(["10.0.0.2:4222", "other.example.test:4222"], told_by)
    assert [s.tls_name for s in servers] == [
        "broker.example.test",
        "broker.example.test",
        "other.example.test",
    ]
    learned = [*servers][1]
    servers.learn(["10.0.0.3:4222"], learned)
    assert [*servers][1].tls_name == "broker.example.test", "and so on from one to the next"


def test_no_server_at_all_is_refused() -> None:
    with pytest.raises(SettingsError, match="empty"):
        Servers(NatsSettings(url=" , "))


def test_waits_grow_to_at_most_a_second() -> None:
    waits = [*islice(delays(), 20)]
    assert waits[0] <= 0.05
    assert all(0 < wait <= 1 for wait in waits)
    assert min(waits[10:]) >= 0.5


def test_why_a_server_could_not_be_used_is_said_in_words() -> None:
    refused = ConnectionRefusedError(111, "Connect call failed")
    assert in_words(refused) == "nothing is listening there"
    assert in_words(TimeoutError()) == "no answer"
    assert in_words(OSError("no route")) == "no route"
    assert in_words(ValueError()) == "ValueError"
