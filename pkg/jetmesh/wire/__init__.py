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
from jetmesh.wire.encode import PING, PONG, connect, pub, sub, unsub
from jetmesh.wire.headers import Headers, block, parse

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
    "check_line",
    "connect",
    "control",
    "parse",
    "pub",
    "sub",
    "unsub",
]
