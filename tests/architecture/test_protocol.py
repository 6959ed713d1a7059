"""What the mesh writes on the broker, it spells in one place: `jetmesh.protocol`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

_spelled = re.compile(
    r"(Jetmesh|Nats)-[A-Z]"  # headers
    r"|^(DEADLETTERS|REFUSALS|AUDIT|LANES)$"
    r"|^(deadletters|refusals|audit|lanes)\."  # subjects
    r"|\.(done|later|suspect)$"
    r"|^(done|replay):|:(deadletter|refusal|retry|replay)\b"  # message ids
)


def test_protocol_names_stand_in_protocol_alone(root: Path) -> None:
    package = root / "pkg" / "jetmesh"
    elsewhere = [
        f"{path.relative_to(root)}: {text}"
        for path in sorted((root / "pkg").rglob("*.py"))
        if (package / "protocol") not in path.parents
        for text in literals(path.read_text())
        if _spelled.search(text)
    ]
    assert elsewhere == [], "import the name from jetmesh.protocol"


@pytest.mark.parametrize(
    "source",
    [
        'x = "Jetmesh-Error"',
        'x = b"NATS/1.0\\r\\nNats-Msg-Id: 1"',
        'f(stream="LANES")',
        'f(f"lanes.{service}.>")',
        'f(f"{subject}.done")',
        'f(f"replay:{letter}")',
        'f(f"{cause}:retry:{number}")',
    ],
)
def test_a_name_that_is_spelled_elsewhere_would_be_found(source: str) -> None:
    assert any(_spelled.search(text) for text in literals(source))


def test_docstrings_and_sentences_may_quote_names() -> None:
    source = '"""Written to lanes.>, see Jetmesh-Error."""\nhelp = "See DEADLETTERS:17 in LANES."'
    assert not any(_spelled.search(text) for text in literals(source))


def test_the_protocol_knows_nothing_else_of_the_mesh(root: Path) -> None:
    imports = {
        node.module
        for path in (root / "pkg" / "jetmesh" / "protocol").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module
    }
    assert {name for name in imports if name.startswith("jetmesh")} <= {
        "jetmesh.protocol",
        *(
            f"jetmesh.protocol.{name}"
            for name in ("ids", "lanes", "steps", "streams", "subjects", "times")
        ),
    }


def literals(source: str) -> Iterator[str]:
    """Every string in a module, and every piece of an f-string, but no docstring."""
    tree = ast.parse(source)
    explained = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node not in explained:
            if isinstance(node.value, str):
                yield node.value
            elif isinstance(node.value, bytes):
                yield node.value.decode(errors="replace")
