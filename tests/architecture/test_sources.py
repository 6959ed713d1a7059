"""Functions and files stay small, exceptions to a rule say why, and no machine leaks in."""

from __future__ import annotations

import ast
import re
import tokenize
from pathlib import Path

LONGEST_FUNCTION = 60
LONGEST_FILE = 400

_exception = re.compile(r"noqa|type: *ignore|pragma")
_codes = re.compile(
    r"#|noqa(: *[A-Z]+[0-9]+(, *[A-Z]+[0-9]+)*)?|type: *ignore(\[[a-z, -]*\])?|reason:?"
)
_registries = re.compile(
    "|".join(
        rf"\b{re.escape('.'.join(parts))}\b"
        for parts in (
            ("py" + "pi", "org"),
            ("python" + "hosted", "org"),
            ("npm" + "js", "org"),
            ("npm" + "js", "com"),
            ("crates", "io"),
            ("proxy", "golang", "org"),
        )
    )
)
_machine = re.compile(r"/(root|home|Users|work)/[A-Za-z]")


def test_no_function_is_longer_than_it_can_be_read(sources: list[Path], root: Path) -> None:
    long = [
        f"{path.relative_to(root)}:{node.lineno} {node.name} has {length} lines"
        for path in sources
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > LONGEST_FUNCTION
    ]
    assert long == [], "give the parts of a long function names"


def test_no_file_is_longer_than_one_idea(sources: list[Path], root: Path) -> None:
    long = [
        f"{path.relative_to(root)} has {length} lines"
        for path in sources
        if (length := len(path.read_text().splitlines())) > LONGEST_FILE
    ]
    assert long == [], "look for the second idea in it"


def test_every_exception_to_a_rule_gives_its_reason(sources: list[Path], root: Path) -> None:
    bare = [
        f"{path.relative_to(root)}:{token.start[0]} {token.string}"
        for path in sources
        for token in comments(path)
        if _exception.search(token.string)
        and not re.search(r"\w+\W+\w+", _codes.sub("", token.string))
    ]
    assert bare == []


def test_a_module_says_what_it_is_for(sources: list[Path], root: Path) -> None:
    silent = [
        str(path.relative_to(root))
        for path in sources
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_no_file_names_a_package_registry(files: list[Path], root: Path) -> None:
    """Where packages come from is the business of whoever installs."""
    assert naming(_registries, files, root) == []


def test_no_file_names_a_path_of_somebodys_machine(files: list[Path], root: Path) -> None:
    assert naming(_machine, files, root) == []


def comments(path: Path) -> list[tokenize.TokenInfo]:
    with path.open("rb") as source:
        tokens = list(tokenize.tokenize(source.readline))
    return [token for token in tokens if token.type == tokenize.COMMENT]


def naming(pattern: re.Pattern[str], files: list[Path], root: Path) -> list[str]:
    return [
        f"{path.relative_to(root)}: {found.group()}"
        for path in files
        if (found := pattern.search(path.read_text(encoding="utf-8", errors="replace")))
    ]


def test_commands_read_and_print_through_the_console_alone(root: Path) -> None:
    """It decides what becomes of a text that cannot be shown, and of a stream that is closed."""
    package = root / "pkg" / "jetmesh" / "cli"
    otherwise = re.compile(r"(typer|click)\.echo|^\s*print\(|sys\.std\w+\.(write|read)")
    found = [
        f"{path.relative_to(root)}:{number} {line.strip()}"
        for path in sorted(package.rglob("*.py"))
        if path.name not in ("console.py", "output.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if otherwise.search(line)
    ]
    assert found == [], "use jetmesh.cli.output or console"
