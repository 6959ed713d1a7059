"""Which nats-server is good enough."""

from __future__ import annotations

from pathlib import Path

import pytest

from jetmesh.errors import BrokerError
from jetmesh.operate.up.broker import check_version, find_server


def script(path: Path, says: str) -> str:
    path.write_text(f"#!/bin/sh\necho '{says}'")
    path.chmod(0o755)
    return str(path)


def test_the_installed_server_is_good_enough() -> None:
    check_version(find_server())


@pytest.mark.parametrize("version", ["v2.14.0", "v2.15.1", "v3.0.0-beta.1", "2.100.0"])
def test_newer_servers_are_taken(tmp_path: Path, version: str) -> None:
    check_version(script(tmp_path / "nats-server", f"nats-server: {version}"))


@pytest.mark.parametrize("version", ["v2.13.9", "v1.99.0", "unknown"])
def test_an_older_server_is_refused_with_a_remedy(tmp_path: Path, version: str) -> None:
    with pytest.raises(BrokerError, match=f"too old: it says .*{version}") as caught:
        check_version(script(tmp_path / "nats-server", f"nats-server: {version}"))
    assert "jetmesh[up]" in caught.value.remedy


def test_a_server_that_cannot_be_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match="cannot be run"):
        check_version(str(tmp_path / "absent"))
