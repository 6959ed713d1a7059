"""The NATS client protocol, sans-io: it knows no event loop, no socket and nothing of ours."""

from jetmesh.wire.decode import MAX_LINE, Decoder, OnControl, OnMessage, ProtocolError, control
from jetmesh.wire.encode import PING, PONG, connect, pub, sub, unsub
from jetmesh.wire.headers import Headers, block, parse

__all__ = [
    "MAX_LINE",
    "PING",
    "PONG",
    "Decoder",
    "Headers",
    "OnControl",
    "OnMessage",
    "ProtocolError",
    "block",
    "connect",
    "control",
    "parse",
    "pub",
    "sub",
    "unsub",
]
