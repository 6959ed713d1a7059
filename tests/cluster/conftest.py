"""The cluster and the shop on it, shared by the tests of a module: setting the scene takes long."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.cluster.chaos.scene import Options, Scene


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """Three servers, every service, the sandboxes; nothing of it is left afterwards."""
    folder: Path = tmp_path_factory.mktemp("cluster")
    async with Scene(folder, Options()) as scene:
        yield scene
