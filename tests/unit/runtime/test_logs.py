"""Log lines, in processes of their own: logging is configured once per process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Annotated, Any

from msgspec import Meta, Struct

from jetmesh.runtime import logs

HEAD = """
import logging, warnings, structlog
from jetmesh.runtime import logs, streams
from jetmesh.settings import LogSettings
streams.keep_standard_error()
logs.configure(LogSettings(level="info", format={format!r}), "payments")
log = structlog.get_logger()
"""


def lines(code: str, log_format: str = "auto") -> list[str]:
    """What a process with these statements writes to standard error, which is a pipe."""
    done = subprocess.run(
        [sys.executable, "-c", HEAD.format(format=log_format) + code],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return done.stderr.splitlines()


def events(code: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(code)]


def test_a_line_is_one_json_object_where_nobody_watches() -> None:
    (event,) = events('log.info("started", number=3, ok=True, none=None)')
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "started",
        "level": "info",
        "service": "payments",
        "number": 3,
        "ok": True,
        "none": None,
    }


def test_a_terminal_gets_colours_and_no_json() -> None:
    read, write = os.openpty()
    code = HEAD.format(format="auto") + 'log.info("started", key="p-1")'
    with subprocess.Popen([sys.executable, "-c", code], stderr=write) as process:
        assert process.wait(30) == 0
    os.close(write)
    text = os.read(read, 65536).decode()
    os.close(read)
    assert "\x1b[" in text
    assert "started" in text
    assert "{" not in text


def test_the_format_can_be_chosen_against_the_terminal() -> None:
    (line,) = lines('log.info("started")', "console")
    assert not line.startswith("{")


def test_addresses_are_masked_wherever_they_stand() -> None:
    code = """
class Thing:
    def __repr__(self): return "Thing(customer@example.test)"
a = "customer@example.test"
log.info(f"mail to {a}", key=a, nested={a: [a, {"x": (a, Thing())}]}, error=ValueError(a))
log.info("mail to %s", a)
log.bind(to=a).warning("bound")
structlog.contextvars.bind_contextvars(who=a)
log.info("context")
logging.getLogger("library").warning("sent to %s", a)
warnings.warn(f"warned of {a}")
try:
    raise LookupError(f"no mailbox {a}")
except LookupError:
    log.exception("failed")
    logging.getLogger("library").exception("failed too")
"""
    found = lines(code)
    assert len(found) == 8
    assert not [line for line in found if "example.test" in line]
    assert len([line for line in found if "LookupError" in line]) == 2


def test_control_characters_cannot_forge_a_line_or_command_a_terminal() -> None:
    code = """
log.info("a\\x1b[31mb", key="x\\n{\\"event\\": \\"forged\\"}\\x07", **{"na\\x1bme": 1})
try:
    raise ValueError("first\\nforged {}\\x1b[2J".format("line"))  # a traceback may quote this
except ValueError:
    log.exception("failed")
"""
    found = lines(code, "console")
    text = "\n".join(found)
    assert "\\x1b[31m" in text
    assert "\x1b[2J" not in text
    assert "\x07" not in text
    assert [line for line in found if "forged line" in line] == ["  forged line\\x1b[2J"]


def test_a_traceback_keeps_its_lines_and_its_end() -> None:
    code = """
def deep(n):
    if n: deep(n - 1)
    else: raise ValueError("the cause")
try:
    deep(900)
except ValueError:
    log.exception("failed")
"""
    (event,) = events(code)
    assert event["exception"].splitlines()[-1] == "  ValueError: the cause"
    assert len(event["exception"]) < 20_000


def test_a_library_speaks_from_warning_on_as_an_event_of_the_service() -> None:
    found = events("""
logging.getLogger("httpx").info("request")
logging.getLogger("httpx").warning("slow")
""")
    assert [(e["event"], e["level"], e["service"]) for e in found] == [
        ("slow", "warning", "payments")
    ]


def test_a_value_that_cannot_be_shown_does_not_cost_the_line() -> None:
    code = """
class Rude:
    def __repr__(self): raise RuntimeError
loop = []
loop.append(loop)
log.info("still", rude=Rude(), loop=loop, data=b"x", key={1: 2})
"""
    (event,) = events(code)
    assert event["event"] == "still"
    assert event["rude"] == "<Rude>"


def test_a_reader_that_went_away_ends_nothing() -> None:
    code = (
        HEAD.format(format="json")
        + """
import os, sys
read, write = os.pipe()
os.dup2(write, 2); os.close(read)
log.info("nobody reads"); logging.getLogger("x").warning("this either")
sys.stdout.write("went on")
sys.stdout.flush()
os._exit(0)
"""
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=30)
    assert done.stdout == b"went on"


class Card(Struct, frozen=True):
    token: Annotated[str, Meta(extra={"sensitive": True})]


def test_a_logger_that_is_about_an_event_masks_its_sensitive_values() -> None:
    about = logs.About(Card("tok_secret"))
    line = logs._clean(
        None, "info", {"event": "charging tok_secret", "nested": ["tok_secret"], "about": about}
    )
    assert line == {"event": "charging •••", "nested": ["•••"]}
    assert "tok_secret" not in repr(about)


def test_a_struct_in_a_line_is_masked_by_its_own_contract() -> None:
    assert logs._clean(None, "info", {"card": Card("tok_secret")}) == {"card": "Card(token='•••')"}


def test_somebodys_own_value_named_about_is_kept() -> None:
    assert logs._clean(None, "info", {"about": "tea"}) == {"about": "tea"}


def test_a_line_is_written_whatever_its_values_do() -> None:
    told = events(
        """
from collections.abc import Mapping
class Odd(Exception):
    __traceback__ = property(lambda self: 1 / 0)
    __cause__ = property(lambda self: 1 / 0)
    def __repr__(self): raise LookupError
class Box(Mapping):
    def __getitem__(self, name): raise LookupError
    def __iter__(self): yield "a"
    def __len__(self): return 1
class Key:
    def __str__(self): raise LookupError
try:
    raise Odd("said")
except Odd:
    log.exception("failed", number=10 ** 5000, box=Box(), names={Key(): 1}, odd=Odd())
log.info("on", text="\\udcff", largest=2 ** 64)
"""
    )
    failed, on = told
    assert failed["event"] == "failed"
    assert failed["exception"].strip() == "(an error that cannot be shown)"
    assert failed["number"].startswith("0x")
    assert (failed["box"], failed["names"], failed["odd"]) == ("<Box>", "<dict>", "<Odd>")
    assert (on["text"], on["largest"]) == (r"\udcff", 2**64)
