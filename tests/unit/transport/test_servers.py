"""Addresses of servers: read, learned, written, waited for."""

from __future__ import annotations

from itertools import islice

import pytest

from jetmesh.errors import SettingsError
from jetmesh.settings import NatsSettings
from jetmesh.transport.servers import Server, Servers, delays, in_words, parse_server

TELLER = Server("a", 1)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("nats://broker:4333", "broker", 4333),
        ("tls://broker", "broker", 4222),
        (" broker:1 ", "broker", 1),
        ("10.0.0.1", "10.0.0.1", 4222),
        ("nats://[::1]:4333", "::1", 4333),
    ],
)
def test_an_address_is_read(text: str, host: str, port: int) -> None:
    assert parse_server(text) == Server(host, port)


@pytest.mark.parametrize("text", ["http://x", "nats://", "::::", "x:99999", "nats://a:b@x"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        parse_server(text)


def test_an_address_is_written_so_that_it_can_be_read_again() -> None:
    for server in (Server("::1", 4222), Server("broker", 1)):
        assert parse_server(str(server)) == server


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
