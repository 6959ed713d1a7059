"""Captured and nasty bytes, replayed whole and byte by byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jetmesh.wire import Decoder, OnMessage, ProtocolError

CORPUS = Path(__file__).parent / "corpus"
GOOD = sorted(CORPUS.glob("good/*.bin"))
BAD = sorted(CORPUS.glob("bad/*.bin"))


def replay(data: bytes, size: int) -> tuple[list[list[str]], bytes]:
    """Every frame of `data`, fed `size` bytes at a time, and what stayed undecided."""
    frames: list[list[str]] = []

    def take(sid: str) -> OnMessage:
        return lambda *fields: frames.append(["MSG", sid, *(f.decode("latin-1") for f in fields)])

    routes = {b"1": take("1"), b"2": take("2")}
    decoder = Decoder(
        routes, lambda verb, text: frames.append([verb.decode(), text.decode("latin-1")])
    )
    for start in range(0, len(data), size):
        decoder.feed(data[start : start + size])
    return frames, b"".join(decoder._parts)


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_a_captured_conversation_means_what_it_meant(path: Path, size: int) -> None:
    frames, rest = replay(path.read_bytes(), size)
    assert frames == json.loads(path.with_suffix(".json").read_text())
    assert rest == b"", "every frame was decided"


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_nasty_bytes_end_the_connection_with_a_short_reason(path: Path, size: int) -> None:
    with pytest.raises(ProtocolError) as raised:
        replay(path.read_bytes(), size)
    assert len(str(raised.value)) < 200


def test_the_corpus_is_there() -> None:
    assert len(GOOD) >= 15
    assert len(BAD) >= 20


if __name__ == "__main__":
    for path in GOOD:
        if not path.with_suffix(".json").exists():
            frames, _ = replay(path.read_bytes(), 1 << 20)
            path.with_suffix(".json").write_text(json.dumps(frames, indent=1) + "\n")
