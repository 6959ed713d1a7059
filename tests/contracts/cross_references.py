"""What the official schema of AsyncAPI does not check: that what a document names is there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

Documents = Mapping[str, dict[str, Any]]
"""By their paths, relative to one folder."""


def problems(documents: Documents) -> Iterator[str]:
    """One sentence for each reference into the void, and for what is not a channel's own."""
    for path, document in documents.items():
        for ref in references(document):
            if resolve(documents, path, ref) is None:
                yield f"{path}: {ref} leads nowhere"
        for name, operation in document.get("operations", {}).items():
            channel = operation["channel"]["$ref"]
            for message in operation["messages"]:
                if not message["$ref"].startswith(f"{channel}/messages/"):
                    yield f"{path}: {name} carries {message['$ref']}, which is not its channel's"
        for name, channel in document.get("channels", {}).items():
            yield from (f"{path}: {name} {what}" for what in _wrong(documents, path, channel))


def _wrong(documents: Documents, path: str, channel: dict[str, Any]) -> Iterator[str]:
    parameters = channel.get("parameters", {})
    named = set(re.findall(r"\{([^}]*)\}", channel["address"]))
    if named != set(parameters):
        yield f"has the parameters {sorted(parameters)}, its address names {sorted(named)}"
    for message in channel["messages"].values():
        where, found = resolve(documents, path, message["$ref"]) or (path, {})
        _, payload = resolve(documents, where, found.get("payload", {}).get("$ref", "")) or ("", {})
        for name, parameter in parameters.items():
            field = _unescaped(parameter["location"].removeprefix("$message.payload#/"))
            if field not in payload.get("required", ()):
                yield f"takes its parameter {name} from {field}, which the payload may lack"


def references(node: object) -> Iterator[str]:
    """Every `$ref` in a document; a field of an event may have that name."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolve(documents: Documents, path: str, ref: str) -> tuple[str, Any] | None:
    """What `ref` in the document at `path` leads to, and in which document that is."""
    file, _, pointer = ref.partition("#")
    where = os.path.normpath(f"{os.path.dirname(path)}/{file}") if file else path  # noqa: PTH120 - no file, only its name
    node: Any = documents.get(where.lstrip("/"))
    for token in pointer.removeprefix("/").split("/"):
        node = node.get(_unescaped(token)) if isinstance(node, dict) else None
    return None if node is None else (where, node)


def _unescaped(token: str) -> str:
    return token.replace("~1", "/").replace("~0", "~")
