"""Settings: which value wins, what is refused, and that secrets stay secret."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Annotated

import pytest
from msgspec import Meta, Struct
from rich.pretty import pretty_repr

from jetmesh import Duration, Policy, Service, event
from jetmesh.declare import StreamTuning
from jetmesh.errors import SettingsError
from jetmesh.settings import Loaded, NatsSettings, addresses_of, load_settings


@event("parcels.sent", key="parcel_id")
class ParcelSent(Struct, frozen=True):
    """A parcel left the house."""

    parcel_id: str


class Retries(Struct, frozen=True):
    limit: int = 3


class TrackingSettings(Struct, frozen=True):
    carrier_url: str
    api_token: Annotated[str, Meta(extra={"sensitive": True})] = ""
    poll: Duration = Duration(5)
    regions: list[str] = []
    retries: Retries = Retries()


tracking = Service("parcel-tracking", settings=TrackingSettings)


@tracking.on(ParcelSent)
async def follow(sent: ParcelSent) -> None:
    """Ask the carrier."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(here: Path, toml: str = "", **environ: str) -> Loaded:
    """Load as a command does that knows every service."""
    (here / "jetmesh.toml").write_text(toml)
    return load_settings([tracking], environ=environ, whole=True)


def test_a_service_may_listen_elsewhere_than_the_others(here: Path) -> None:
    loaded = load(here, "[http]\nport = 9000\n[services.parcel-tracking.http]\nport = 9001")
    assert loaded.http("parcel-tracking").port == 9001
    assert loaded.http("parcel-tracking").host == "127.0.0.1"
    assert loaded.http("another").port == 9000
    by_variable = load(here, JETMESH__SERVICES__PARCEL_TRACKING__HTTP__PORT="9002")
    assert by_variable.http("parcel-tracking").port == 9002
    with pytest.raises(SettingsError, match=r"parcel-tracking\.http\.port: Expected `int`"):
        load(here, "[services.parcel-tracking.http]\nport = '1'")


def test_defaults_need_no_file(here: Path) -> None:
    assert not [*here.iterdir()]
    loaded = load_settings([tracking], environ={})
    assert loaded.settings.nats.url == "nats://127.0.0.1:4222"
    assert loaded.settings.grace == Duration(20)
    assert loaded.origins["nats.url"] == "default"


def test_the_file_wins_over_defaults(here: Path) -> None:
    loaded = load(here, 'grace = "1m"\n[http]\nport = 9000')
    assert loaded.settings.grace == Duration(60)
    assert loaded.settings.http.port == 9000
    assert loaded.origins["http.port"] == "jetmesh.toml"


def test_the_environment_wins_over_the_file(here: Path) -> None:
    loaded = load(here, "[http]\nport = 9000", JETMESH__HTTP__PORT="9001")
    assert loaded.settings.http.port == 9001
    assert loaded.origins["http.port"] == "JETMESH__HTTP__PORT"


def test_nats_url_is_read_as_every_nats_tool_does(here: Path) -> None:
    loaded = load(here, NATS_URL="nats://broker:4333")
    assert loaded.settings.nats.url == "nats://broker:4333"
    assert loaded.origins["nats.url"] == "NATS_URL"


def test_the_long_variable_wins_over_nats_url(here: Path) -> None:
    loaded = load(here, NATS_URL="nats://a", JETMESH__NATS__URL="nats://b,tls://c:4223")
    assert loaded.settings.nats.url == "nats://b,tls://c:4223"


def test_a_file_is_named_by_a_variable(here: Path) -> None:
    (here / "other.toml").write_text('provision = "verify"')
    loaded = load(here, JETMESH_SETTINGS="other.toml")
    assert loaded.settings.provision == "verify"
    assert loaded.origins["provision"] == "other.toml"


def test_a_service_gets_its_own_settings(here: Path) -> None:
    loaded = load(
        here,
        '[services.parcel-tracking.settings]\ncarrier_url = "http://carrier"\npoll = "250ms"\n'
        "retries = { limit = 7 }",
        JETMESH__SERVICES__PARCEL_TRACKING__SETTINGS__API_TOKEN="12",  # noqa: S106 - a made-up one
        JETMESH__SERVICES__PARCEL_TRACKING__SETTINGS__REGIONS='["north", "south"]',
    )
    assert loaded.of(tracking) == TrackingSettings(
        carrier_url="http://carrier",
        api_token="12",  # noqa: S106 - a made-up one
        poll=Duration(0.25),
        regions=["north", "south"],
        retries=Retries(7),
    )


def test_a_nested_setting_has_a_variable_too(here: Path) -> None:
    loaded = load(
        here,
        JETMESH__SERVICES__PARCEL_TRACKING__SETTINGS__CARRIER_URL="http://carrier",
        JETMESH__SERVICES__PARCEL_TRACKING__SETTINGS__RETRIES__LIMIT="9",
    )
    settings = loaded.of(tracking)
    assert isinstance(settings, TrackingSettings)
    assert settings.retries.limit == 9


def test_a_missing_setting_is_named_with_both_ways_to_give_it(here: Path) -> None:
    with pytest.raises(SettingsError, match="needs the setting 'carrier_url'") as caught:
        load(here).of(tracking)
    assert "JETMESH__SERVICES__PARCEL_TRACKING__SETTINGS__CARRIER_URL" in caught.value.remedy
    assert "[services.parcel-tracking.settings]" in caught.value.remedy


def test_a_service_without_settings_has_none(here: Path) -> None:
    assert load(here).of(Service("plain")) is None


def test_a_policy_is_what_the_code_declares_changed_by_what_was_set(here: Path) -> None:
    loaded = load(
        here,
        "[services.parcel-tracking.handlers.follow]\nattempts = 2",
        JETMESH__SERVICES__PARCEL_TRACKING__HANDLERS__FOLLOW__ACK_WAIT="45s",
    )
    expected = Policy(attempts=2, ack_wait=Duration(45))
    assert loaded.policies([tracking]) == {("parcel-tracking", "follow"): expected}


def test_a_policy_that_cannot_work_is_refused(here: Path) -> None:
    with pytest.raises(SettingsError, match="ack_wait 1s is shorter than timeout 20s"):
        load(here, '[services.parcel-tracking.handlers.follow]\nack_wait = "1s"')


def test_a_stream_is_tuned(here: Path) -> None:
    loaded = load(here, '[streams.PARCELS]\nmax_age = "7d"\nreplicas = 3')
    assert loaded.stream_tunings() == {
        "PARCELS": StreamTuning(max_age=Duration(604800), replicas=3)
    }


@pytest.mark.parametrize(
    ("toml", "cause", "remedy"),
    [
        ("[nast]\nurl = ''", "there is no setting 'nast'", "Did you mean 'nats'?"),
        ("[http]\nhots = ''", "there is no setting 'http.hots'", "Did you mean 'host'?"),
        ("[log]\nzzz = 1", "'log.zzz'", "Known in log: format, level."),
        (
            "[services.payments.settings]",
            "'services.payments'",
            "Known in services: parcel-tracking",
        ),
        ("[services.parcel-tracking.handlers.folow]", "handlers.folow'", "Did you mean 'follow'?"),
        ("[services.parcel-tracking.settings]\nx=1", "settings.x'", "Known in services.parcel-tr"),
        ("[streams.PARCEL]\nreplicas=1", "'streams.PARCEL'", "Did you mean 'PARCELS'?"),
        ("http = 3", "http is a table, not a value", "Write [http]"),
        ("[http]\nport = '80'", "http.port: Expected `int`, got `str`.", ""),
        ("[http]\nport = 70000", "http.port: Expected `int` <= 65535.", ""),
        ("grace = 20", "20 is not a duration", "45s or 250ms"),
        ("grace = 'soon'", "'soon' is not a duration", "45s or 250ms"),
        ("provision = 'always'", "Invalid enum value 'always'", ""),
        ("nats", "is not valid TOML", "Correct that line."),
        ("[nats]\nurl = 'http://x'", "nats.url: the address cannot be used", "nats://host:4222"),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(
    here: Path, toml: str, cause: str, remedy: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(here, toml)
    assert caught.value.message.startswith(("jetmesh.toml:", "The settings file jetmesh.toml"))
    assert cause in caught.value.message
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("name", "value", "cause"),
    [
        ("JETMESH__HTTP__PROT", "1", "there is no setting 'http.prot'"),
        ("JETMESH__HTTP", "1", "JETMESH__HTTP names a table, not a value"),
        ("JETMESH__GRACE__X", "1", "there is no setting 'grace.x'"),
        ("JETMESH__HTTP__PORT", "many", "http.port: Expected `int`, got `str`"),
        ("JETMESH__GRACE", "20", "20 is not a duration"),
        ("NATS_URL", "nats://h:port", "its port is not a number from 1 to 65535"),
        ("NATS_URL", "nats://h,tls://", "address 2 of 2 cannot be used: it names no host"),
    ],
)
def test_a_wrong_variable_is_refused_in_one_sentence(
    here: Path, name: str, value: str, cause: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(here, **{name: value})
    assert cause in caught.value.message
    assert name in caught.value.message


def test_a_file_that_was_asked_for_must_exist(here: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.toml cannot be read: No such file"):
        load(here, JETMESH_SETTINGS="absent.toml")


def test_one_service_passes_over_the_sections_of_others(here: Path) -> None:
    """One file serves the whole mesh, and a process knows only its own service."""
    file = here / "shared.toml"
    file.write_text("[services.payments.settings]\nurl='x'\n[streams.PAYMENTS]\nreplicas=3")
    environ = {"JETMESH__SERVICES__PAYMENTS__SETTINGS__URL": "y"}
    loaded = load_settings([tracking], file=file, environ=environ)
    assert loaded.settings.services == {}
    assert loaded.stream_tunings() == {}
    with pytest.raises(SettingsError, match="JETMESH__SERVICES__PAYMENTS"):
        load_settings([tracking], environ=environ, whole=True)


def test_other_variables_of_jetmesh_are_left_alone(here: Path) -> None:
    load(here, JETMESH_SANDBOX_HTTP_PORT="1", JETMESH_SYSTEM="x:y")


def test_effective_settings_mask_secrets_and_name_origins(here: Path) -> None:
    loaded = load(
        here,
        '[nats]\npassword = "hunter2"',
        NATS_URL="nats://broker:4222",
        JETMESH__SERVICES__PARCEL_TRACKING__SETTINGS__API_TOKEN="hunter4",  # noqa: S106 - a made-up one
    )
    shown = {each.path: (each.value, each.origin) for each in loaded.effective([tracking])}
    assert "hunter" not in repr((shown, loaded.settings.nats))
    assert shown["nats.password"] == ("***", "jetmesh.toml")
    assert shown["nats.token"] == ("", "default")
    assert shown["nats.url"] == ("nats://broker:4222", "NATS_URL")
    assert shown["services.parcel-tracking.settings.carrier_url"] == ("(not set)", "default")
    assert shown["services.parcel-tracking.settings.poll"] == ("5s", "default")
    assert shown["services.parcel-tracking.handlers.follow.attempts"] == ("5", "default")
    assert shown["streams.PARCELS.max_age"] == ("0s", "default")


def test_an_error_never_quotes_a_secret(here: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(here, "[nats]\npassword = 123456")
    assert "123456" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://me:hunter2@broker",
        "nats://me:hunter 2@broker",
        "nats://me:hunter2/pw@broker:4222",
        "nats://me:hunter2,pw@broker:4222",
        "nats://me:7,hunter2@broker:4222",
        "nats://me:hunter2#@broker",
        "nats://me:hunter2@broker:port",
        "//me:hunter2@broker",
        "me:hunter2@broker:0",
        "nats://:hunter2@broker",
        "nats://me:hunter2%@broker",
        "tls:hunter2",
    ],
)
def test_an_address_that_cannot_be_used_is_not_quoted(here: Path, url: str) -> None:
    with pytest.raises(SettingsError, match=r"^NATS_URL: nats\.url: ") as caught:
        load(here, NATS_URL=url)
    told = "".join(traceback.format_exception(caught.value)) + caught.value.remedy
    assert "hunter2" not in told
    assert "hunter2" not in repr(NatsSettings(url=url))


def test_jetstream_may_be_in_another_domain_or_under_another_prefix(here: Path) -> None:
    assert load(here).settings.nats.js_api == "$JS.API"
    assert load(here, JETMESH__NATS__JS_DOMAIN="hub").settings.nats.js_api == "$JS.hub.API"
    nats = load(here, '[nats]\njs_api_prefix = "$JS.hub.API"').settings.nats
    assert nats.js_api == "$JS.hub.API"
    with pytest.raises(SettingsError, match="js_api_prefix is set, and") as both:
        load(here, '[nats]\njs_domain = "hub"', JETMESH__NATS__JS_API_PREFIX="mesh.api")
    assert "JETMESH__NATS__JS_API_PREFIX" in both.value.message


@pytest.mark.parametrize(
    "given",
    [{"JS_DOMAIN": each} for each in ("a.b", "*", "a b", ">")]
    + [{"JS_API_PREFIX": each} for each in ("mesh.", ".mesh", "a..b", "mesh.>", "a b", "*")],
)
def test_what_would_break_a_subject_is_refused(here: Path, given: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="matching regex"):
        load(here, **{f"JETMESH__NATS__{name}": value for name, value in given.items()})


def test_the_user_of_an_address_is_shown_nowhere(here: Path) -> None:
    urls = "me:hunter2@broker:4222", "hunter2@broker", "nats://me:hunter2@a, TLS://hunter2@b:1,c"
    for url in urls:
        loaded = load(here, NATS_URL=url)
        shown = {each.path: each.value for each in loaded.effective([tracking])}
        assert "hunter2" not in repr((shown, loaded.settings, addresses_of(url)))
        assert "hunter2" not in pretty_repr((loaded.settings, addresses_of(url)[0].login))
        assert "***@" in shown["nats.url"]
    assert shown["nats.url"] == "nats://***@a,TLS://***@b:1,c"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("https://me:hunter2@carrier.example.test/v1", "https://***@carrier.example.test/v1"),
        ("postgres://me:hunter2/x@db/orders", "postgres://***@db/orders"),
        ("me:hunter2@carrier", "***@carrier"),
        ("//me:hunter 2@carrier", "***@carrier"),
        ("shop@example.test", "shop@example.test"),
        ("http://carrier", "http://carrier"),
    ],
)
def test_a_url_among_a_services_own_settings_is_shown_without_its_user(
    here: Path, text: str, masked: str
) -> None:
    loaded = load(here, JETMESH__SERVICES__PARCEL_TRACKING__SETTINGS__CARRIER_URL=text)
    shown = {each.path: each.value for each in loaded.effective([tracking])}
    assert shown["services.parcel-tracking.settings.carrier_url"] == masked
