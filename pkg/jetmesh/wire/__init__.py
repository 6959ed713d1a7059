"""The NATS client protocol, sans-io: it knows no event loop, no socket and nothing of ours."""

from jetmesh.wire.decode import (
    MAX_LINE,
    MAX_MESSAGE,
    Decoder,
    OnControl,
    OnMessage,
    ProtocolError,
    check_line,
    control,
)
from jetmesh.wire.encode import PING, PONG, connect, hpub, pub, sub, unsub
from jetmesh.wire.headers import Headers, block, bytes_of, legible, parse

__all__ = [
    "MAX_LINE",
    "MAX_MESSAGE",
    "PING",
    "PONG",
    "Decoder",
    "Headers",
    "OnControl",
    "OnMessage",
    "ProtocolError",
    "block",
    "bytes_of",
    "check_line",
    "connect",
    "control",
    "hpub",
    "legible",
    "parse",
    "pub",
    "sub",
    "unsub",
]
