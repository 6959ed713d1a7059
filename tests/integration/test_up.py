"""`jetmesh up` on a tiny project: real processes, a real broker, and what happens when they die."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.tiny_project import (
    Up,
    answer,
    command,
    is_alive,
    journal,
    tiny,
)
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One that runs, for tests that only look at it."""
    up = Up(tiny(tmp_path_factory.mktemp("up") / "tiny"))
    try:
        up.wait_for("Ctrl-C stops everything")
        yield up
    finally:
        up.end()


def test_up_shows_every_address_and_what_to_try(up: Up) -> None:
    state = up.state
    assert state.ready
    assert state.nats_url == f"nats://127.0.0.1:{up.port}"
    for url in (each.url for each in (state.services | state.sandboxes).values()):
        assert url in up.printed
    assert f"export NATS_URL={state.nats_url}" in up.printed
    assert 'nats pub things.made "$(cat examples/things/good.json)"' in up.printed
    assert "jetmesh publish things.made examples/things/good.json" in up.printed
    assert "jetmesh trace 't 1'" in up.printed
    assert "templated" not in up.printed


def test_everyone_gets_ports_the_broker_and_the_sandboxes(up: Up) -> None:
    state = up.state
    service = answer(state.services["first"].url)
    assert service["JETMESH__NATS__URL"] == state.nats_url
    assert state.services["first"].url.endswith(service["JETMESH__HTTP__PORT"])
    sandbox = answer(state.sandboxes["stand-in"].url)
    http, other = (sandbox[f"JETMESH_SANDBOX_{each}_PORT"] for each in ("HTTP", "OTHER"))
    assert http != other  # the preferred one was taken by the first
    assert service["TINY_URL"] == f"http://127.0.0.1:{http}/{other}"
    assert sandbox["JETMESH_SANDBOX_DIR"] == str(up.root / ".jetmesh" / "stand-in")


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux")
def test_no_process_imports_the_mesh_for_itself(up: Up) -> None:
    processes = up.state.services | up.state.sandboxes
    del processes["contract-pages"]  # the same, but it does not say so
    for each in processes.values():
        assert "jetmesh.runtime.forkserver" in answer(each.url)["PYTHON"]


def test_the_contracts_are_shown_to_this_machine_alone(up: Up) -> None:
    url = up.state.sandboxes["contract-pages"].url
    shown = httpx.get(url)
    assert shown.status_code == 200
    assert 'href="things.made.html"' in shown.text
    assert "script" not in shown.text
    assert "default-src 'none'" in shown.headers["content-security-policy"]
    assert "things.made" in httpx.get(f"{url}/asyncapi/first.yaml").text
    assert httpx.get(f"{url}/../up.json").status_code == 404
    elsewhere = httpx.get(url, headers={"host": "contracts.example.test"})
    assert elsewhere.status_code == 400, "a page of somebody else's must not read it"


def test_what_the_caller_sets_wins_over_a_sandbox(start: Callable[..., Up]) -> None:
    up = start(TINY_URL="http://elsewhere")
    up.wait_for("Ctrl-C stops everything")
    assert answer(up.state.services["first"].url)["TINY_URL"] == "http://elsewhere"


def test_its_own_broker_has_no_other_domain(start: Callable[..., Up], project: Path) -> None:
    """Whatever the settings say of production."""
    (project / "jetmesh.toml").write_text('[nats]\njs_domain = "hub"\n')
    up = start()
    up.wait_for("Ctrl-C stops everything")
    assert answer(up.state.services["first"].url)["JETMESH__NATS__JS_DOMAIN"] == ""
    planned = command(up.root, "plan", "--check")
    assert (planned.returncode, planned.stdout) == (0, "The broker is as declared.\n")


def test_without_sandboxes_there_are_none(start: Callable[..., Up]) -> None:
    up = start("--no-sandbox")
    up.wait_for("Ctrl-C stops everything")
    assert set(up.state.sandboxes) == {"contract-pages"}


def test_the_topology_is_there_before_the_services(up: Up) -> None:
    planned = command(up.root, "plan", "--check")
    assert (planned.returncode, planned.stdout) == (0, "The broker is as declared.\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything_in_order(start: Callable[..., Up], number: int) -> None:
    """Services before what they use; nobody gets the signal twice; exit code 0."""
    up = start()
    up.wait_for("Ctrl-C stops everything")
    pids = [each.pid for each in up.state.processes()]
    assert up.end(number) == 0
    assert not any(is_alive(pid) for pid in pids)
    ended = [line for line in (up.root / "journal").read_text().splitlines() if "began" not in line]
    assert sorted(ended[:2]) == ["ended first", "ended second"]
    assert ended[2:] == ["ended stand-in"]
    assert not (up.root / ".jetmesh" / "up.json").exists()


def test_a_signal_while_starting_ends_it_too(start: Callable[..., Up], project: Path) -> None:
    (project / "wait-first").touch()
    up = start()
    wait_until(lambda: "began second" in journal(project), within=60.0)
    assert up.end() == 0
    assert "Ctrl-C stops everything" not in up.printed


def test_a_second_signal_ends_at_once(start: Callable[..., Up], project: Path) -> None:
    (project / "stubborn-first").touch()
    up = start()
    up.wait_for("Ctrl-C stops everything")
    pids = [each.pid for each in up.state.processes()]
    up.process.send_signal(signal.SIGINT)
    up.wait_for("press Ctrl-C again to stop at once")
    assert up.end(signal.SIGINT) == 130
    wait_until(lambda: not any(is_alive(pid) for pid in pids))


def test_who_does_not_end_in_time_is_killed(start: Callable[..., Up], project: Path) -> None:
    (project / "stubborn-first").touch()
    (project / "jetmesh.toml").write_text('grace = "10ms"')
    up = start()
    up.wait_for("Ctrl-C stops everything")
    assert up.end() == 0
    assert "first did not end in time" in up.printed


def test_a_service_that_dies_is_started_again_as_the_broker_is(
    start: Callable[..., Up],
) -> None:
    up = start()
    up.wait_for("Ctrl-C stops everything")
    before = up.state.services["first"]
    os.kill(before.pid, signal.SIGKILL)
    up.wait_for(r"first was ended by SIGKILL; starting again in 0\.25 s")
    wait_until(lambda: up.state.services["first"].pid not in (0, before.pid))
    assert up.state.services["first"].url == before.url
    broker = up.state.broker
    os.kill(broker.pid, signal.SIGKILL)
    up.wait_for("the broker ended with exit code -9; starting it again")
    wait_until(lambda: up.state.broker.pid not in (0, broker.pid))
    assert command(up.root, "plan", "--check").returncode == 0


def test_a_service_that_cannot_start_is_explained_once_and_tried_again(
    start: Callable[..., Up], project: Path
) -> None:
    (project / "break-second").touch()
    up = start()
    up.wait_for("second cannot start: it ended with exit code 3")
    wait_until(lambda: journal(project).count("began second") > 3, what=lambda: up.printed)
    (project / "break-second").unlink()
    up.wait_for("Ctrl-C stops everything")
    assert up.printed.count("second cannot start") == 1


def test_a_service_that_is_not_ready_is_named_with_its_reason(
    start: Callable[..., Up], project: Path
) -> None:
    (project / "wait-second").touch()
    up = start()
    up.wait_for("second is not ready: no luck yet")
    assert not up.state.ready
    (project / "wait-second").unlink()
    up.wait_for("Ctrl-C stops everything")


def test_terminal_escapes_of_a_service_are_shown_not_obeyed(up: Up) -> None:
    assert r"user data \x1b]0;title\x07 red" in up.printed
    assert "\x1b" not in up.printed


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends orphans by itself")
def test_nobody_survives_a_killed_supervisor(start: Callable[..., Up]) -> None:
    up = start()
    up.wait_for("Ctrl-C stops everything")
    pids = [each.pid for each in up.state.processes()]
    assert len(pids) == 5
    up.end(signal.SIGKILL)
    wait_until(lambda: not any(is_alive(pid) for pid in pids))
    again = start()
    again.wait_for("Ctrl-C stops everything")


def test_left_overs_of_a_killed_supervisor_are_ended_by_the_next(
    start: Callable[..., Up], project: Path
) -> None:
    (project / "stubborn-first").touch()
    up = start()
    up.wait_for("Ctrl-C stops everything")
    stubborn = up.state.services["first"].pid
    up.end(signal.SIGKILL)
    again = start()
    again.wait_for("stopped what a killed mesh had left running: .*first")
    again.wait_for("Ctrl-C stops everything")
    assert not is_alive(stubborn)
    (project / "stubborn-first").unlink()
