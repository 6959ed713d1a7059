"""What operators do is recorded where nobody takes it back: who, what, and how it ended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jetmesh.declare import derive
from jetmesh.operate.audit import AuditRecord, entries, recorded
from jetmesh.operate.up.broker import Broker
from jetmesh.settings import NatsSettings
from jetmesh.transport import provision
from jetmesh.transport.control import ControlPlane
from tests.integration.command_line import Said, said
from tests.integration.identities import Configured, Key
from tests.integration.planes import settings_of
from tests.integration.some_letters import lane, put_letter

KEY, TOKEN = "p-ana", "tok_secret_one"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Broker]:
    """A broker with the shop's topology, and nobody who handles anything."""
    with Broker(tmp_path / "nats") as broker:
        assert said("apply", url=broker.url).returncode == 0
        yield broker


def letters(broker: Broker, count: int) -> list[int]:
    async def put() -> list[int]:
        async with await ControlPlane.connect(settings_of(broker), name="test") as control:
            return [
                await put_letter(
                    control,
                    "payments",
                    "charge",
                    KEY,
                    sequence=number,
                    payload=b'{"payment_token":"%b"}' % TOKEN.encode(),
                )
                for number in range(1, count + 1)
            ]

    return asyncio.run(put())


def ask(broker: Broker, subject: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    async def api() -> dict[str, Any]:
        async with await ControlPlane.connect(settings_of(broker), name="test") as control:
            return await control.api(subject, body)

    return asyncio.run(api())


def desk(broker: Broker, *arguments: str) -> Said:
    return said("deadletters", *arguments, url=broker.url)


def acts(broker: Broker, *arguments: str, but: str = "apply") -> list[dict[str, Any]]:
    """The records, without those of what made the broker."""
    listed = said("audit", "ls", "--json", *arguments, url=broker.url)
    assert listed.returncode == 0, listed.stderr
    return [each for each in json.loads(listed.stdout) if each["record"]["act"] != but]


def test_apply_records_what_it_changes_from_the_first_time_on_and_nothing_else(
    shop: Broker,
) -> None:
    begins, ends = acts(shop, but="")
    assert (begins["by"], begins["record"]["act"]) == ("anonymous", "apply")
    assert "create stream ORDERS" in begins["record"]["what"]
    assert ends["record"]["began"] == begins["sequence"]
    assert ends["record"]["outcome"] == {"changed": begins["record"]["count"]}
    assert said("apply", url=shop.url).returncode == 0
    assert len(acts(shop, but="")) == 2


def test_many_letters_are_one_act_and_its_record_names_no_key_and_no_payload(shop: Broker) -> None:
    letters(shop, 12)
    done = desk(shop, "replay", "--key", KEY, "--service", "payments", "--yes", "--why", "repaired")
    assert done.returncode == 0, done.stderr
    begins, ends = acts(shop)
    assert begins["record"] == {
        "act": "replay",
        "selection": ["service payments", "a key"],
        "count": 12,
        "why": "repaired",
    }
    assert ends["record"]["outcome"] == {"replayed": 12}
    stored = json.dumps([begins, ends])
    assert KEY not in stored
    assert TOKEN not in stored


def test_named_letters_are_recorded_by_their_numbers_and_a_dry_run_is_not(shop: Broker) -> None:
    first, second = letters(shop, 2)
    assert desk(shop, "replay", str(first), "--dry-run").returncode == 0
    assert acts(shop) == []
    dropped = desk(shop, "drop", str(first), str(second), "--yes", "--why", "a test order")
    assert dropped.returncode == 0, dropped.stderr
    begins, ends = acts(shop)
    assert begins["record"]["what"] == [f"DEADLETTERS:{first}", f"DEADLETTERS:{second}"]
    assert ends["record"]["outcome"] == {"dropped": 2}


def test_what_is_removed_as_forged_is_recorded_by_its_place(shop: Broker) -> None:
    async def forge() -> str:
        async with await ControlPlane.connect(settings_of(shop), name="test") as control:
            put = await control.publish(f"payments.captured.{KEY}", b'{"email":"ana@example.test"}')
            return f"{put.stream}:{put.sequence}"

    place = asyncio.run(forge())
    healed = said("heal", place, "--yes", url=shop.url)
    assert healed.returncode == 0, healed.stderr
    begins, ends = acts(shop)
    assert begins["record"] == {"act": "heal", "what": [place], "count": 1}
    assert ends["record"]["outcome"] == {"removed": 1}
    assert begins["at"] <= ends["at"]


def test_an_act_that_fails_is_recorded_with_the_kind_of_its_error(shop: Broker) -> None:
    (number,) = letters(shop, 1)
    assert desk(shop, "drop", str(number), "--why", "done").returncode == 0
    assert desk(shop, "drop", str(number), "--why", "done").returncode == 1
    ends = acts(shop)[-1]
    assert ends["record"]["failed"] == "JetmeshError"
    assert ends["record"]["outcome"] == {"refused": 1}
    listed = said("audit", "ls", url=shop.url).stdout.splitlines()
    assert f"anonymous  drop begins: 1 of DEADLETTERS:{number} (done)" in listed[-2]
    assert listed[-1].endswith("1 refused; JetmeshError")


def test_what_cannot_be_recorded_is_not_done_and_apply_makes_room(shop: Broker) -> None:
    (number,) = letters(shop, 1)
    config = ask(shop, "STREAM.INFO.AUDIT")["config"]
    ask(shop, "STREAM.UPDATE.AUDIT", {**config, "max_bytes": 1})
    refused = desk(shop, "replay", str(number))
    assert refused.returncode == 1
    assert "Nothing was done, because it cannot be recorded" in refused.stderr
    assert "streams.AUDIT.max_bytes" in refused.stderr

    async def waiting() -> int:
        async with await ControlPlane.connect(settings_of(shop), name="test") as control:
            return len(await lane(control, "payments"))

    assert asyncio.run(waiting()) == 0
    assert said("apply", url=shop.url).returncode == 0  # the record's own stream comes first
    assert desk(shop, "replay", str(number)).returncode == 0
    assert asyncio.run(waiting()) == 1


def test_where_no_stream_of_records_was_made_yet_it_is_said_and_done(shop: Broker) -> None:
    (number,) = letters(shop, 1)
    ask(shop, "STREAM.DELETE.AUDIT")
    done = desk(shop, "drop", str(number), "--why", "a test order")
    assert (done.returncode, done.stderr) == (
        0,
        "Not recorded: there is no stream AUDIT. jetmesh apply makes it.\n",
    )
    assert "There is no stream AUDIT" in said("audit", "ls", url=shop.url).stderr


def test_what_is_no_record_is_listed_as_its_subject_says(shop: Broker) -> None:
    async def put() -> None:
        async with await ControlPlane.connect(settings_of(shop), name="test") as control:
            await control.publish("audit.mal%20ory.drop", b"[[")

    asyncio.run(put())
    *_, line = said("audit", "ls", url=shop.url).stdout.splitlines()
    assert line.endswith("mal ory  drop begins: 0 of what cannot be read")


def test_since_leaves_out_what_is_older(shop: Broker) -> None:
    assert acts(shop, "--since", "1h", but="")
    assert acts(shop, "--since", "0s", but="") == []
    assert said("audit", "ls", "--since", "soon", url=shop.url).returncode == 2


def test_a_stream_from_which_records_can_be_removed_is_told_and_not_changed(shop: Broker) -> None:
    config = ask(shop, "STREAM.INFO.AUDIT")["config"]
    ask(shop, "STREAM.DELETE.AUDIT")
    open_ = {name: config[name] for name in ("name", "subjects")}
    ask(shop, "STREAM.CREATE.AUDIT", open_)
    refused = said("plan", url=shop.url)
    assert "deny_delete: False -> True" in refused.stdout
    assert "refused: " in refused.stdout
    assert said("apply", url=shop.url).returncode == 1


async def test_whoever_acts_is_whom_the_server_takes_them_for(configured: Configured) -> None:
    key = Key()
    broker = configured(
        "no_auth_user: anybody\n"
        'authorization { users: [{ user: "anybody", password: x }, { user: "a.b c", password: y },'
        f" {{ nkey: {key.public} }}] }}"
    )
    seed = broker.config.with_name("seed") if broker.config else Path()
    seed.write_text(key.seed)
    for settings, name in (
        (NatsSettings(url=broker.url), "anybody"),
        (NatsSettings(url=broker.url, user="a.b c", password="y"), "a.b c"),  # noqa: S106 - a broker of this test
        (NatsSettings(url=broker.url, nkey_seed_file=str(seed)), key.public),
    ):
        async with await ControlPlane.connect(settings, name="test") as control:
            await provision.apply(control, await provision.plan(control, derive([])))
            async with recorded(control, AuditRecord(act="drop"), pytest.fail):
                pass
            *_, entry = [each async for each in entries(control)]
            assert entry.by == name


async def test_a_token_that_somebody_logs_in_with_is_not_a_name(configured: Configured) -> None:
    broker = configured("authorization { token: s3cret }")
    settings = NatsSettings(url=broker.url, token="s3cret")  # noqa: S106 - a broker of this test
    async with await ControlPlane.connect(settings, name="test") as control:
        assert await control.user() == "token"
