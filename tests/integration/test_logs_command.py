"""`jetmesh logs`: the files of a running mesh, and pods through a kubectl that is a script."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.tiny_project import Up, command

KUBECTL = """#!/bin/sh
echo "$@" > "$ASKED"
echo '[pod/payments-1/payments] 2026-11-29T18:00:02.5Z {"event":"late","key":"p-1","level":"error"}'
echo '[pod/payments-2/payments] 2026-11-29T18:00:01.5Z {"event":"early","key":"p-1","level":"info"}'
echo '[pod/mail-1/notifications] 2026-11-29T18:00:01.7Z {"event":"other","key":"p-2"}'
"""


def logs(root: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return command(root, "logs", *arguments, **environ)


def test_what_every_process_of_up_said_is_gathered(project: Path, start: Callable[..., Up]) -> None:
    up = start()
    up.wait_for("Ctrl-C stops everything")
    up.end()
    shown = logs(project)
    for name in ("first", "second", "stand-in"):
        assert f"{name:<8} │ user data" in shown.stdout
    assert "\x1b" not in shown.stdout
    found = [
        json.loads(line)
        for line in logs(project, "--json", "--service", "first").stdout.splitlines()
    ]
    assert {line["service"] for line in found} == {"first"}


@pytest.fixture
def kubectl(tmp_path: Path) -> dict[str, str]:
    program = tmp_path / "bin" / "kubectl"
    program.parent.mkdir()
    program.write_text(KUBECTL)
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:{os.environ['PATH']}", "ASKED": str(tmp_path / "asked")}


def test_pods_are_asked_through_kubectl_and_sorted(
    project: Path, tmp_path: Path, kubectl: dict[str, str]
) -> None:
    shown = logs(project, "--pods", "--namespace", "prod", "--key", "p-1", **kubectl)
    assert shown.stderr == ""
    early, late = shown.stdout.splitlines()
    assert early.startswith("18:00:01.500 payments")
    assert late.endswith("error   late  key=p-1")
    asked = (tmp_path / "asked").read_text().split()
    assert {"logs", "--selector=app.kubernetes.io/part-of=tiny", "--namespace=prod"} <= set(asked)


def test_what_kubectl_complains_about_is_told(
    project: Path, tmp_path: Path, kubectl: dict[str, str]
) -> None:
    (tmp_path / "bin" / "kubectl").write_text("#!/bin/sh\necho no such context >&2\nexit 1\n")
    told = logs(project, "--pods", **kubectl)
    assert told.returncode == 1
    assert "no such context" in told.stderr


def test_without_a_mesh_it_says_where_logs_come_from(project: Path) -> None:
    told = logs(project)
    assert told.returncode == 2
    assert "jetmesh up" in told.stderr
