"""A broker that is started is the one that listens on its port."""

from __future__ import annotations

from pathlib import Path

import pytest

from jetmesh.errors import BrokerError
from jetmesh.operate.up.broker import Broker


def test_another_server_on_the_port_is_not_taken_for_the_one_that_was_started(
    tmp_path: Path,
) -> None:
    with Broker(tmp_path / "first") as first:
        second = Broker(tmp_path / "second", port=first.port)
        with pytest.raises(BrokerError, match=f"did not start on 127.0.0.1:{first.port}"):
            second.start()
        assert first.poll() is None
