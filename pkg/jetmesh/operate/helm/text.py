"""A tree of values as the chart's files: values.yaml, values.schema.json, the README's table."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from typing import Any, Final

import yaml

from jetmesh.operate.helm.tree import Group, Node, Value
from jetmesh.operate.schemas import DIALECT

NOTE: Final = "# Written by `jetmesh deploy init` from the declarations: change those, not this.\n"
_WIDTH: Final = 100
_OF_A_PARENT: Final = {
    "global": {"description": "What a parent chart says to all.", "type": "object"},
    "enabled": {"description": "A parent's `condition` may ask for it.", "type": "boolean"},
}
_CHECKED_BY_A_TEMPLATE: Final = ("services", "streams")
"""A whole one that is missing has two causes, which a template can say."""
_no_text = re.compile("(?i)(y|n|yes|no|on|off|true|false|null)$")  # as YAML 1.1 has it


def values_yaml(tree: Group) -> str:
    """The defaults, with what each means above it where it stands for the first time."""
    return NOTE + "\n".join(_lines(tree, "", set())) + "\n"


def schema_json(tree: Group) -> str:
    """The schema that helm checks values against.

    A name that is not in it is refused. So is a value that is missing, which helm makes of null:
    every one has its default in values.yaml, and templates need them all.
    """
    schema = _schema(tree)
    schema["properties"] |= _OF_A_PARENT
    for name in _CHECKED_BY_A_TEMPLATE:
        schema["properties"].get(name, {}).pop("required", None)
    return json.dumps({"$schema": DIALECT, **schema}, indent=1, ensure_ascii=False) + "\n"


def table(tree: Group) -> str:
    """A Markdown table of every value; services, handlers and streams have one line each."""
    rows: dict[str, tuple[set[str], str]] = {}
    for path, value in tree.leaves():
        defaults, _ = rows.setdefault(_general(path), (set(), value.text))
        defaults.add(_short(value.default))
    lines = ["| value | default | meaning |", "|---|---|---|"]
    for name, (defaults, text) in rows.items():
        default = f"`{defaults.pop()}`" if len(defaults) == 1 else "varies"
        lines.append(f"| `{name}` | {default} | {text.replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


def dump(data: dict[str, Any]) -> str:
    """Data without comments, as YAML that helm and kubectl read as it was."""
    return yaml.dump(data, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=_WIDTH)


def _lines(group: Group, indent: str, said: set[str]) -> Iterator[str]:
    for name, node in group.values.items():
        if not indent:
            yield ""
        if node.text and node.text not in said:
            said.add(node.text)
            yield from textwrap.wrap(
                node.text, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# "
            )
        if isinstance(node, Group):
            yield f"{indent}{_key(name)}:"
            yield from _lines(node, f"{indent}  ", said)
        else:
            yield from _value(name, node.default, indent)


def _value(name: str, default: Any, indent: str) -> Iterator[str]:
    one_line = f"{indent}{_key(name)}: {json.dumps(default, ensure_ascii=False)}"
    if not isinstance(default, list) or len(one_line) <= _WIDTH:
        yield one_line
        return
    yield f"{indent}{_key(name)}:"
    yield from (f"{indent}  - {json.dumps(item, ensure_ascii=False)}" for item in default)


def _key(name: str) -> str:
    return json.dumps(name) if _no_text.match(name) else name


def _schema(node: Node) -> dict[str, Any]:
    described = {"description": node.text} if node.text else {}
    if isinstance(node, Value):
        return {**described, **node.schema}
    properties = {name: _schema(below) for name, below in node.values.items()}
    return {
        **described,
        "type": "object",
        "additionalProperties": False,
        "required": [name for name, below in node.values.items() if not _may_be_missing(below)],
        "properties": properties,
    }


def _may_be_missing(node: Node) -> bool:
    return isinstance(node, Value) and node.default is None


def _general(path: tuple[str, ...]) -> str:
    """`services.payments.handlers.charge.attempts` is one of many alike."""
    match path:
        case ("services", _, "handlers", _, *rest):
            return ".".join(("services.<service>.handlers.<handler>", *rest))
        case ("services", service, ("settings" | "secrets") as kind, *rest):
            return ".".join(("services", service, kind, *rest))
        case ("services", _, *rest):
            return ".".join(("services.<service>", *rest))
        case ("nats", "passwords", "services", _):
            return "nats.passwords.services.<service>"
        case ("streams", _, *rest):
            return ".".join(("streams.<stream>", *rest))
    return ".".join(path)


def _short(default: Any) -> str:
    text = json.dumps(default, ensure_ascii=False)
    return text if len(text) <= 60 else "see values.yaml"  # noqa: PLR2004 - what fits in a table


class _Plain(yaml.SafeDumper):
    """Texts of several lines as people write them."""


def _block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Plain.add_representer(str, _block)
_Plain.add_implicit_resolver("tag:yaml.org,2002:bool", _no_text, list("yYnNtTfFoO"))  # to be quoted
