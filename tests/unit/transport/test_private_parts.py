"""Each private part of nats-py that we use, by name, and that the installed nats-py still has it.

pyproject.toml admits only versions with which this passes. Where it fails with a newer one, that
version is not to be admitted before `transport/client.py` follows it.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.aio.transport import Transport
from nats.protocol.parser import Parser

import jetmesh
from jetmesh.testing import eventually

PACKAGE = Path(jetmesh.__file__).parent
PRIVATE = {
    ("transport/client.py", "_build_message"),
    ("transport/client.py", "_close"),
    ("transport/client.py", "_flush_pending"),
    ("transport/client.py", "_process_err"),
    ("transport/client.py", "_process_headers"),
    ("transport/client.py", "_process_info"),
    ("transport/client.py", "_process_msg"),
    ("transport/client.py", "_process_ping"),
    ("transport/client.py", "_process_pong"),
    ("transport/client.py", "_ps"),
    ("transport/client.py", "_send_command"),
    ("transport/client.py", "_send_publish"),
    ("transport/client.py", "_transport"),
}


def test_our_code_touches_no_other_private_part() -> None:
    found = {
        (path.relative_to(PACKAGE).as_posix(), name)
        for path in PACKAGE.rglob("*.py")
        for name in touched(path.read_text())
    }
    assert found == PRIVATE, "do without it, or name it here and test what we rely on"


@pytest.mark.parametrize(
    "line",
    [
        "subscription._pending_queue.get_nowait()",
        "self.subscription._pending_size -= 1",
        "Msg(self, _sid=1)",
        "getattr(client, '_status')",
        "class Ours(Client):\n    def _flush_pending(self): ...",
        "class Ours(Client):\n    def work(self): self._subs.clear()",
    ],
)
def test_another_private_part_would_be_found(line: str) -> None:
    assert [*touched(f"from nats.aio.client import Client\n{line}")]


def test_what_is_private_to_us_is_no_concern() -> None:
    source = "class Ours:\n    def __init__(self): self._session = self._subs = 1\nours._session"
    assert [*touched(f"import nats\n{source}")] == []


def touched(source: str) -> Iterator[str]:
    """Names of nats-py's private parts in a module: touched, overridden, passed or looked up."""
    tree = ast.parse(source)
    theirs = {name for node in ast.walk(tree) for name in imported(node)}
    if not theirs:
        return
    ours = {own_name(node) for node in ast.walk(tree)}
    derived = [node for node in ast.walk(tree) if is_derived(node, theirs)]
    for node in (inner for each in derived for inner in ast.walk(each)):
        name = own_name(node) or getattr(node, "name", "")
        if name in THEIRS:
            yield name
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not own_name(node):
            if is_private(node.attr) and (node.attr in THEIRS or node.attr not in ours):
                yield node.attr
        elif isinstance(node, ast.keyword | ast.Constant):
            text = node.arg if isinstance(node, ast.keyword) else node.value
            if text in THEIRS:
                yield str(text)


def imported(node: ast.AST) -> list[str]:
    """What an import takes from nats-py."""
    if isinstance(node, ast.ImportFrom):
        inside = (node.module or "").partition(".")[0] == "nats"
        return [alias.asname or alias.name for alias in node.names] if inside else []
    names = node.names if isinstance(node, ast.Import) else []
    return [alias.name for alias in names if alias.name.partition(".")[0] == "nats"]


def is_derived(node: ast.AST, theirs: set[str]) -> bool:
    return isinstance(node, ast.ClassDef) and any(ast.unparse(b) in theirs for b in node.bases)


def own_name(node: ast.AST) -> str:
    """The private attribute of `self` that a node is; empty when it is none."""
    if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
        return ""
    return node.attr if node.value.id in ("self", "cls") and is_private(node.attr) else ""


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def private_names(kind: type) -> set[str]:
    """Private attributes and methods of a class, those that only its methods set included."""
    attributes = {own_name(node) for node in ast.walk(ast.parse(inspect.getsource(kind)))}
    return {name for name in (*attributes, *dir(kind)) if is_private(name)}


THEIRS = set[str]().union(*map(private_names, (Client, Subscription, Msg, Transport)))


# what we rely on


def changed(name: str) -> str:
    return f"nats-py changed {name}; see transport/session.py"


@pytest.mark.parametrize("name", sorted({name for _, name in PRIVATE}))
def test_nats_py_still_has_the_part(name: str) -> None:
    assert hasattr(Client(), name), changed(f"Client.{name}")


class Wire(Transport):
    """A transport that is given to a client, and plays a server that greets and says nothing."""

    def __init__(self) -> None:
        self.connected = 0
        self.written: list[bytes] = []
        self.arriving: asyncio.Queue[bytes] = asyncio.Queue()
        self.lines: list[bytes] = []

    def __bool__(self) -> bool:
        return True

    async def connect(self, *_: object, **__: object) -> None:
        self.connected += 1
        self.lines = [b'INFO {"headers":true}\r\n', b"PONG\r\n"]

    async def connect_tls(self, *_: object, **__: object) -> None:
        raise NotImplementedError

    def write(self, payload: bytes) -> None:
        self.written.append(payload)

    def writelines(self, payload: list[bytes]) -> None:
        self.written += payload
        if b"PING\r\n" in payload:
            self.arriving.put_nowait(b"PONG\r\n")

    async def read(self, _: int) -> bytes:
        return await self.arriving.get()

    async def readline(self) -> bytes:
        return self.lines.pop(0)

    async def drain(self) -> None: ...

    async def wait_closed(self) -> None: ...

    def close(self) -> None: ...

    def at_eof(self) -> bool:
        return False


class Recorder(Client):
    """A client that overrides what ours overrides, and keeps what nats-py called it with."""

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._transport = wire
        self.calls: list[tuple[object, ...]] = []

    async def _process_headers(self, headers: bytes | None) -> dict[str, str]:
        self.calls.append(("_process_headers", headers))
        return {"read by": "us"}

    def _build_message(self, _: int, *given: object) -> Msg:
        self.calls.append(("_build_message", *given))
        return Msg(self, "made", "by", b"us")

    async def _close(self, status: int, do_cbs: bool = True) -> None:  # noqa: FBT001, FBT002 - nats-py's
        self.calls.append(("_close", status, do_cbs))
        await super()._close(status, do_cbs)


async def connected(wire: Wire) -> Recorder:
    client = Recorder(wire)
    await client.connect(servers=["nats://nowhere:1"], allow_reconnect=False, reconnect_time_wait=0)
    return client


async def test_a_client_lives_on_the_transport_that_it_is_given() -> None:
    """Also when it connects again; `allow_reconnect` may be set once it is connected."""
    wire = Wire()
    client = await connected(wire)
    assert wire.connected == 1, changed("Client._transport")
    client.options["allow_reconnect"] = True
    await client.force_reconnect()
    await eventually(lambda: client.stats["reconnects"] == 1)
    assert wire.connected == 2, changed("Client._transport")
    await client.close()


async def test_a_handshake_is_two_lines_each_way() -> None:
    wire = Wire()
    client = await connected(wire)
    assert wire.written[0].startswith(b"CONNECT "), changed("its handshake (transport/stream.py)")
    assert wire.written[1] == b"PING\r\n", changed("its handshake (transport/stream.py)")
    assert wire.lines == [], changed("its handshake (transport/stream.py)")
    await client.close()


@pytest.mark.parametrize(
    ("frame", "block", "reply", "data"),
    [
        (b"HMSG a.\xff 1 r.\xff 5 7\r\nNATS\xffhi\r\n", b"NATS\xff", b"r.\xff", b"hi"),
        (b"MSG a.\xff 1 0\r\n\r\n", None, b"", b""),
    ],
)
async def test_headers_and_messages_are_made_by_us(
    frame: bytes, block: bytes | None, reply: bytes, data: bytes
) -> None:
    wire = Wire()
    client = await connected(wire)
    arrived: asyncio.Queue[Msg] = asyncio.Queue()
    await client.subscribe(">", cb=arrived.put)
    wire.arriving.put_nowait(frame)
    message = await asyncio.wait_for(arrived.get(), 5)
    names = [name for name, *_ in client.calls]
    assert names == ["_process_headers", "_build_message"], changed("how it reads a message")
    headers, built = client.calls
    assert headers == ("_process_headers", block), changed("Client._process_headers")
    read = {"read by": "us"}
    assert built == ("_build_message", b"a.\xff", reply, data, read), changed(
        "Client._build_message"
    )
    assert (message.subject, message.reply, message.data) == ("made", "by", b"us"), changed("Msg")
    await client.close()


async def test_every_end_goes_through_one_method() -> None:
    client = await connected(Wire())
    await client.close()
    assert client.calls == [("_close", Client.CLOSED, True)], changed("Client._close")
    assert client.is_closed


async def test_the_end_by_the_server_s_word_goes_through_it_too() -> None:
    wire = Wire()
    client = await connected(wire)
    wire.arriving.put_nowait(b"-ERR 'User Authentication Expired'\r\n")
    await eventually(lambda: bool(client.calls))
    (call,) = client.calls
    assert call[:2] == ("_close", Client.CLOSED), changed("Client._close")


class Heard(Parser):
    """Keeps what nats-py gives its parser."""

    def __init__(self) -> None:
        self.resets = 0
        self.fed: list[bytes] = []
        super().__init__()

    def reset(self) -> None:
        self.resets += 1
        super().reset()

    async def parse(self, data: bytes = b"") -> None:
        self.fed.append(data)


async def test_all_that_arrives_goes_through_the_parser_that_it_is_given() -> None:
    wire, heard = Wire(), Heard()
    client = Recorder(wire)
    client._ps = heard
    await client.connect(servers=["nats://nowhere:1"], allow_reconnect=False, reconnect_time_wait=0)
    wire.arriving.put_nowait(b"whatever")
    await eventually(lambda: b"whatever" in heard.fed, what=changed("Client._ps"))
    client.options["allow_reconnect"] = True
    before = heard.resets
    await client.force_reconnect()
    await eventually(lambda: client.stats["reconnects"] == 1)
    assert heard.resets > before, changed("Parser.reset")
    await client.close()


async def test_a_client_does_what_frames_say() -> None:
    said: list[str] = []

    async def note(error: Exception) -> None:
        said.append(str(error))

    async def leave() -> None:
        said.append("lame duck")

    wire = Wire()
    client = Client()
    client._transport = wire
    await client.connect(
        servers=["nats://nowhere:1"],
        allow_reconnect=False,
        error_cb=note,
        lame_duck_mode_cb=leave,
    )
    arrived: asyncio.Queue[Msg] = asyncio.Queue()
    subscription = await client.subscribe(">", cb=arrived.put)
    await client._process_msg(subscription._id, b"a", b"r", b"data", b"NATS/1.0\r\nA: b\r\n\r\n")
    message = await asyncio.wait_for(arrived.get(), 5)
    assert (message.subject, message.reply, message.data) == ("a", "r", b"data"), changed(
        "Client._process_msg"
    )
    await client._process_err("'permissions violation for publish to \"x\"'")
    await client._process_info({"connect_urls": ["n1:4222"], "ldm": True})
    await client._process_info({"connect_urls": None, "ldm": False})
    assert said == ['nats: permissions violation for publish to "x"', "lame duck"], changed(
        "Client._process_err or _process_info"
    )
    assert [server.uri.netloc for server in client._server_pool][1:] == ["n1:4222"]
    before = wire.written.count(b"PONG\r\n")
    await client._process_ping()
    await eventually(lambda: wire.written.count(b"PONG\r\n") == before + 1)
    await client._process_pong()
    await client.close()


async def test_what_is_published_is_written_by_one_method() -> None:
    class Writer(Recorder):
        async def _send_publish(self, *given: object) -> None:
            self.calls.append(given)
            await self._send_command(b"HPUB ours\r\n")
            await self._flush_pending()

    wire = Wire()
    client = Writer(wire)
    await client.connect(servers=["nats://nowhere:1"], allow_reconnect=False)
    await client.publish("a", b"data", reply="r", headers={"A": "b"})
    assert client.calls == [("a", "r", b"data", 4, {"A": "b"})], changed("Client._send_publish")
    await eventually(lambda: b"HPUB ours\r\n" in wire.written)
    await client.close()
