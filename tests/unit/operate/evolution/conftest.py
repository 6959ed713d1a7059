"""Types are made here by the thousand, and msgspec 0.22 crashes where such are collected."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import msgspec
import pytest


@pytest.fixture(autouse=True)
def uncollected(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("msgspec._core.MsgpackDecoder", msgspec.json.Decoder)
    gc.disable()
    yield
    gc.freeze()
    gc.enable()
