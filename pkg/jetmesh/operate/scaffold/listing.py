"""The line of a system's source that lists its services: one more is added to it."""

from __future__ import annotations

import ast
import re

from jetmesh.errors import UsageError

_comma = re.compile(r"\A\s*,\s*(?=[)\]])")


def with_service(source: str, module: str) -> str:
    """`source` with `module` at the end of `services=(…)`; everything else stays as it is.

    Raises:
        UsageError: there is no such list that could be added to.
    """
    listed = _listed(source)
    if listed is None:
        raise UsageError(
            "The system does not list its services as System(…, services=(…)).",
            remedy=f"Write the list as names in quotes, or add {module!r} by hand.",
        )
    lines = source.splitlines(keepends=True)
    opening = _offset(lines, listed.lineno, listed.col_offset)
    if not listed.elts:
        before, last = source[: opening + 1], source[opening + 1 :]
        indent = re.match(r"\s*", lines[listed.lineno - 1])
        margin = indent[0] if indent else ""
        return f'{before}\n{margin}    "{module}",\n{margin}{last}'
    end = _offset(lines, listed.elts[-1].end_lineno or 0, listed.elts[-1].end_col_offset or 0)
    before, rest = source[:end], source[end:]
    if listed.elts[-1].lineno != listed.lineno:
        return f'{before},\n{" " * listed.elts[-1].col_offset}"{module}"{rest}'
    return f'{before}, "{module}"{_comma.sub("", rest)}'


def _listed(source: str) -> ast.Tuple | ast.List | None:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "System":
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            services = given.get("services", node.args[1] if len(node.args) > 1 else None)
            if isinstance(services, ast.Tuple | ast.List):
                return services
    return None


def _offset(lines: list[str], line: int, column: int) -> int:
    """Where a place of the syntax tree is in the text; its columns count bytes."""
    before = sum(map(len, lines[: line - 1]))
    return before + len(lines[line - 1].encode()[:column].decode())
