"""The NATS client protocol, sans-io: it knows no event loop, no socket and nothing of ours."""

from jetmesh.wire.decode import Decoder, OnControl, OnMessage, ProtocolError
from jetmesh.wire.encode import PING, PONG, connect, hpub, pub, sub, unsub
from jetmesh.wire.headers import Headers, block, parse

__all__ = [
    "PING",
    "PONG",
    "Decoder",
    "Headers",
    "OnControl",
    "OnMessage",
    "ProtocolError",
    "block",
    "connect",
    "hpub",
    "parse",
    "pub",
    "sub",
    "unsub",
]
