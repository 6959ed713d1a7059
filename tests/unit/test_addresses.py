"""Addresses of servers as people write them: what each means, and what is refused, once for all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetmesh.errors import SettingsError
from jetmesh.settings import NatsSettings, addresses_of, asks_for_tls, shown
from jetmesh.transport.auth import wants_tls
from jetmesh.transport.servers import Servers


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("nats://broker:4333", "broker", 4333),
        ("tls://broker", "broker", 4222),
        (" broker:1 ", "broker", 1),
        ("broker:4222,", "broker", 4222),
        (",,broker,", "broker", 4222),
        ("broker\n", "broker", 4222),
        ("nats", "nats", 4222),
        ("nats:4222", "nats", 4222),
        ("nats_1.internal.", "nats_1.internal.", 4222),
        ("10.0.0.1", "10.0.0.1", 4222),
        ("nats://[::1]:4333", "::1", 4333),
        ("[::1]", "::1", 4222),
        ("nats://b\u00fccher.example.test/", "xn--bcher-kva.example.test", 4222),
        ("nats://xn--bcher-kva.example.test", "xn--bcher-kva.example.test", 4222),
    ],
)
def test_an_address_is_read(text: str, host: str, port: int) -> None:
    [address] = addresses_of(text)
    assert (address.host, address.port) == (host, port)


@pytest.mark.parametrize("scheme", ["tls", "TLS", "Tls", "tLS"])
def test_tls_is_asked_for_in_any_spelling_and_of_every_server(scheme: str) -> None:
    urls = f"nats://a, {scheme}://u:p@b:4333,"
    assert asks_for_tls(urls)
    assert wants_tls(NatsSettings(url=urls))
    assert all(server.tls for server in Servers(NatsSettings(url=urls)))
    assert not asks_for_tls("nats://tls,NATS://b")


@pytest.mark.parametrize(
    ("userinfo", "user", "password", "token"),
    [
        ("u:p", "u", "p", ""),
        ("u:p:q", "u", "p:q", ""),
        ("u:p@q", "u", "p@q", ""),
        ("u%3Aser:p%40s%2Fs%20w%2C%25", "u:ser", "p@s/s w,%", ""),
        ("u:%C3%BC+\u00fc", "u", "\u00fc+\u00fc", ""),
        ("u:", "u", "", ""),
        ("t%2Fk", "", "", "t/k"),
    ],
)
@pytest.mark.parametrize("scheme", ["nats://", "tls://", ""])
def test_user_and_password_or_a_token_stand_before_the_host(
    scheme: str, userinfo: str, user: str, password: str, token: str
) -> None:
    [address] = addresses_of(f"{scheme}{userinfo}@h:1")
    assert address.login is not None
    login = address.login.user, address.login.password, address.login.token
    assert login == (user, password, token)
    assert shown(f"{scheme}{userinfo}@h:1") == f"{scheme}***@h:1"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is empty"),
        (" , ", "is empty"),
        ("http://x", "neither with nats:// nor with tls://"),
        ("ws://x", "neither with nats:// nor with tls://"),
        ("t1s://x", "neither with nats:// nor with tls://"),
        ("\uff54ls://x", "neither with nats:// nor with tls://"),
        ("u:a://b@x", "neither with nats:// nor with tls://"),
        ("tls:/x", "a path, a query or a fragment"),
        ("tls//x", "a path, a query or a fragment"),
        ("//x", "a path, a query or a fragment"),
        ("nats:///x", "a path, a query or a fragment"),
        ("nats://tls://x", "a path, a query or a fragment"),
        ("nats://x/y", "a path, a query or a fragment"),
        ("nats://x?y", "a path, a query or a fragment"),
        ("nats://x?", "a path, a query or a fragment"),
        ("nats://x#y", "a path, a query or a fragment"),
        ("nats://x\\y", "a path, a query or a fragment"),
        ("tls:x", "its port is not a number"),
        ("tls:4222", "tls is written tls://"),
        ("tls", "tls is written tls://"),
        ("nats://", "it names no host"),
        ("nats://u:p@", "it names no host"),
        ("nats://:4222", "it names no host"),
        ("::::", "stands in brackets"),
        ("::1", "stands in brackets"),
        ("[::x]", "is not an IPv6 address"),
        ("[fe80::1%25eth0]:1", "a zone"),
        ("[::1]4222", "its port is not a number"),
        ("x:99999", "its port is not a number from 1 to 65535"),
        ("x:0", "its port is not a number from 1 to 65535"),
        ("x:", "its port is not a number from 1 to 65535"),
        ("x:+1", "its port is not a number"),
        ("x:\uff11", "its port is not a number"),
        ("x:" + "1" * 5000, "its port is not a number"),
        ("nats://4222", "its host is a number"),
        ("127.1", "its host is a number"),
        ("0x7f.0.0.1", "its host is a number"),
        ("a..b", "its host is not a name"),
        ("x%2Fy", "its host is not a name"),
        ("a" * 64 + ".test", "its host is not a name"),
        ("a b", "it holds a blank"),
        ("nats://u:p q@x", "it holds a blank"),
        ("a\tb", "it holds a blank"),
        ("a\x00", "a control character"),
        ("nats://x\u202e", "a control character"),
        ("nats://:p@x", "a password without a user"),
        ("nats://@x", "its user is empty"),
        ("nats://:@x", "its user is empty"),
        ("nats://u:100%@x", "% is written %25"),
        ("nats://u:%FF@x", "is not UTF-8"),
        ("nats://u:1,2@x", "among several, one with a user needs its nats://"),
    ],
)
def test_what_is_no_address_is_refused_and_hidden(text: str, why: str) -> None:
    with pytest.raises(SettingsError) as caught:
        addresses_of(text)
    assert why in caught.value.message
    if "empty" not in why:
        assert shown(text) == "***"
    with pytest.raises(SettingsError, match=r"^nats\.url"):
        Servers(NatsSettings(url=text))


@given(
    st.text(st.sampled_from("ab:/@,%#? tls1[]\\"), max_size=12),
    st.text(st.sampled_from("tlsnaTLS:/"), max_size=7),
)
def test_no_spelling_of_a_password_is_shown(password: str, scheme: str) -> None:
    """Whatever stands around it: in a password that is not escaped, too."""
    urls = f"{scheme}u:{password}S3CRET{password}@h:4222"
    assert "S3CRET" not in shown(urls) + refusal(urls)


def refusal(urls: str) -> str:
    try:
        addresses_of(urls)
    except SettingsError as error:
        return str(error)
    return ""
