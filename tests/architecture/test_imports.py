"""No module imports another that imports it back, however long the way."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGES = {"jetmesh": "pkg", "shop": "pkg", "shop_contracts": "contracts"}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_imports_go_round_in_a_circle(package: str, root: Path) -> None:
    """Late ones inside functions and those for type checking alone count as well."""
    source = root / PACKAGES[package]
    modules = {named(path, source): path for path in (source / package).rglob("*.py")}
    imports = {name: set(imported(path, modules)) - {name} for name, path in modules.items()}
    circle = ()
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        circle = error.args[1]
    assert circle == ()


def test_a_circle_would_be_found(tmp_path: Path) -> None:
    """Two modules, one of them imports late."""
    one, other = tmp_path / "one.py", tmp_path / "other.py"
    one.write_text("from other import x")
    other.write_text("def f():\n    import one")
    modules = {"one": one, "other": other}
    assert [list(imported(path, modules)) for path in (one, other)] == [["other"], ["one"]]


def named(path: Path, source: Path) -> str:
    return ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path, modules: dict[str, Path]) -> Iterator[str]:
    """Each module of `modules` that the one in `path` imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                found = name if name in modules else node.module
                if found in modules:
                    yield found
