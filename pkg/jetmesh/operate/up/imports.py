"""Which files of a project a program imports, read from the sources without running them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path


class Imports:
    """Follows imports through the modules below `roots`, and remembers what it has parsed.

    Those inside functions count too; what is imported by a computed name is not seen.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = roots
        self._parsed: dict[Path, tuple[int, tuple[str, ...]]] = {}

    def files(self, target: str) -> set[Path]:
        """The files that run when `target` does: a file, or a module by its name.

        Raises:
            SyntaxError: one of them is no Python.
        """
        program = Path(target) if target.endswith(".py") else None
        modules = target.split(",")  # of services that run together
        waiting = [program] if program else [file for m in modules for file in self._found(m)]
        seen: set[Path] = set()
        while waiting:
            path = waiting.pop()
            if path not in seen:
                seen.add(path)
                for name in self._names(path):
                    waiting += self._found(name)
        return seen

    def _names(self, path: Path) -> tuple[str, ...]:
        """Everything that a file may import, by full name."""
        changed = path.stat().st_mtime_ns
        known = self._parsed.get(path)
        if known is None or known[0] != changed:
            tree = ast.parse(path.read_bytes(), str(path))
            known = changed, tuple(dict.fromkeys(_imported(tree, self._package(path))))
            self._parsed[path] = known
        return known[1]

    def _package(self, path: Path) -> str:
        """The package that a file is in: what its relative imports start from.

        A program of the mesh's own lies elsewhere, and in none.
        """
        roots = (r for r in self._roots if r in path.parents)
        root = max(roots, key=lambda r: len(r.parts), default=path.parent)
        return ".".join(path.parent.relative_to(root).parts)

    def _found(self, name: str) -> Iterator[Path]:
        """The files of a module and of the packages around it, as far as they are ours."""
        parts = name.split(".")
        for root in self._roots:
            for length in range(1, len(parts) + 1):
                place = root.joinpath(*parts[:length])
                for file in (place / "__init__.py", place.with_suffix(".py")):
                    if file.is_file():
                        yield file


def _imported(tree: ast.Module, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            above = parts[: len(parts) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
