"""JSON Schema of events, for publishing: what a client may send and what a listener will read."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.inspect import EnumType, Field, Metadata, StructType, Type, type_info

from jetmesh.declare.event import EventSpec
from jetmesh.declare.key import MAX_KEY_BYTES

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

# What Decimal reads, and so the decoder: digits of every script, blanks around, and underscores
# anywhere. To refuse those would cost each message; whether NaN is sound the contract's words say.
_digits: Final = (
    r"[^\u0000-/:-^`-\u007f]"  # no other ASCII; which of the rest are digits, no class says
)
_blanks: Final = r"[\s_\u001c-\u001f\u0085]*"
_finite: Final = rf"({_digits}+(\.{_digits}*)?|\.{_digits}+)([eE]_*[+-]?{_digits}+)?"
_nan: Final = rf"[sS]?_*[nN]_*[aA]_*[nN]{_digits}*"
_infinity: Final = r"[iI]_*[nN]_*[fF]_*([iI]_*[nN]_*[iI]_*[tT]_*[yY]_*)?"
_decimal: Final = rf"^{_blanks}[+-]?_*({_finite}|{_nan}|{_infinity}){_blanks}$"
_REMEMBERED: Final = 2048
"""Classes whose docstrings are kept: each is asked for several times, in every document."""
# Keywords whose values are schemas by name, so that a field called "discriminator" stays.
_BY_NAME: Final = ("properties", "$defs", "patternProperties")
# OpenAPI's, which a JSON Schema does not know, and what a decoder does not ask of a set.
_UNTRUE: Final = ("discriminator", "uniqueItems")
# Keywords whose values are data: what looks like a schema in there is an example of something.
_DATA: Final = ("default", "examples", "enum", "const")


def json_schema(spec: EventSpec) -> dict[str, Any]:
    """The JSON Schema 2020-12 document of one event, complete in itself."""
    names, schemas = component_schemas([spec], "#/$defs/{name}")
    name = names[spec.type]
    root = schemas[name]
    repeated = _refers_to(schemas, f"#/$defs/{name}")
    others = {each: schemas[each] for each in schemas if each != name or repeated}
    published = {"$schema": DIALECT, **root, "x-subject": spec.subject, "x-stream": spec.stream}
    published |= {"x-key": spec.key_name} if spec.key else {}
    published |= {"x-decision": spec.decision} if spec.decision else {}
    published |= {"x-race": True} if spec.race else {}
    return published | ({"$defs": others} if others else {})


def component_schemas(
    specs: Iterable[EventSpec], ref_template: str
) -> tuple[dict[type, str], dict[str, dict[str, Any]]]:
    """The schemas of `specs` and of every type in them: the name of each type, each by its name."""
    specs = list(specs)
    structs, enums = _types_in([spec.type for spec in specs])
    types = [*structs, *enums]
    refs, found = msgspec.json.schema_components(types, ref_template=ref_template)
    names = {cls: str(ref["$ref"]).rpartition("/")[2] for cls, ref in zip(types, refs, strict=True)}
    schemas = {name: _published(found[name]) for name in sorted(found)}
    for cls, info in structs.items():
        _document(schemas[names[cls]], cls, info)
    for spec in specs:
        _limit_key(schemas[names[spec.type]], spec)
        _deprecate(schemas[names[spec.type]], spec)
    for enum in enums:
        if _reads_unknown_values(enum):
            known = schemas[names[enum]].pop("enum")
            schemas[names[enum]]["anyOf"] = [{"enum": known}, {"type": "string"}]
    return names, schemas


def description_of(declared: object) -> str:
    """A docstring without its indentation; empty if there is none."""
    return inspect.cleandoc(getattr(declared, "__doc__", None) or "")


def field_docstrings(cls: type[Struct]) -> dict[str, str]:
    """The strings below the fields of `cls`; msgspec knows only `Meta(description=…)`."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        found |= _own_docstrings(base)
    return found


@lru_cache(maxsize=_REMEMBERED)
def _own_docstrings(cls: type) -> dict[str, str]:
    """Those of fields that the class itself declares: its source is found and parsed once."""
    found: dict[str, str] = {}
    try:
        source = textwrap.dedent(inspect.getsource(cls))
    except (OSError, TypeError):  # built in, or without a source file
        return found
    (declaration,) = ast.parse(source).body
    body = declaration.body if isinstance(declaration, ast.ClassDef) else []
    for field, below in pairwise(body):
        text = _string(below)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and text:
            found[field.target.id] = inspect.cleandoc(text)
    return found


def _types_in(types: Iterable[type]) -> tuple[dict[type[Struct], StructType], list[type]]:
    structs: dict[type[Struct], StructType] = {}
    enums: dict[type, None] = {}
    for cls in types:
        for node in inside(type_info(cls)):
            if isinstance(node, StructType):
                structs[node.cls] = node
            elif isinstance(node, EnumType):
                enums[node.cls] = None
    return structs, list(enums)


def inside(start: Type | Field, *, into_structs: bool = True) -> Iterator[Type | Field]:
    """`start` and every type inside it, each once: types may contain themselves."""
    waiting, seen = [start], {id(start)}
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, StructType) and not into_structs:
            continue
        for name in node.__struct_fields__:
            value = getattr(node, name)
            for child in value if isinstance(value, tuple) else (value,):
                if isinstance(child, (Type, Field)) and id(child) not in seen:
                    seen.add(id(child))
                    waiting.append(child)


def _published(schema: Any) -> Any:
    """`schema` as other tools read it, and no narrower than what is read.

    Descriptions lose their indentation, which Python 3.13 takes from docstrings and 3.12 leaves.
    """
    if isinstance(schema, list):
        return [_published(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {
        keyword: value
        if keyword in _DATA
        else {name: _published(item) for name, item in value.items()}
        if keyword in _BY_NAME
        else _published(value)
        for keyword, value in schema.items()
        if keyword not in _UNTRUE
    }
    if changed.get("format") == "decimal":
        changed |= {"type": ["string", "number"], "pattern": _decimal}
    if isinstance(text := changed.get("description"), str):
        changed["description"] = inspect.cleandoc(text)
    return changed


def _document(schema: dict[str, Any], cls: type[Struct], info: StructType) -> None:
    """Describe a type and its fields, and mark the fields that are nobody else's business."""
    written = field_docstrings(cls)
    for field, published in _fields(schema, info):
        if field.name in written:
            published.setdefault("description", written[field.name])
        if _is_sensitive(field):
            published["x-sensitive"] = True


def _fields(schema: dict[str, Any], info: StructType) -> Iterator[tuple[Field, dict[str, Any]]]:
    """Each field with its schema; of a struct that is written as an array, by its place."""
    if "properties" in schema:
        for field in info.fields:
            yield field, schema["properties"][field.encode_name]
    else:
        behind_tag = schema.get("prefixItems", [])[info.tag is not None :]
        yield from zip(info.fields, behind_tag, strict=False)


def _is_sensitive(field: Field) -> bool:
    return any(
        isinstance(node, Metadata) and bool((node.extra or {}).get("sensitive"))
        for node in inside(field, into_structs=False)
    )


def _string(statement: ast.stmt) -> str | None:
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Constant):
        return None
    return statement.value.value if isinstance(statement.value.value, str) else None


def _deprecate(schema: dict[str, Any], spec: EventSpec) -> None:
    """Say what takes the place of an event that is to go."""
    if spec.replacements:
        schema["deprecated"] = True
        schema["x-replaced-by"] = [
            {"subject": each.subject, "reason": each.reason, "until": each.until.isoformat()}
            for each in spec.replacements
        ]


def _limit_key(schema: dict[str, Any], spec: EventSpec) -> None:
    """A key is a token of the subject, so that the mesh refuses an empty or a very long one."""
    if spec.key is None:
        return
    published = schema["properties"][spec.key_name]
    if published.get("type") == "string":
        published.setdefault("minLength", 1)
        published.setdefault("maxLength", MAX_KEY_BYTES)


def _reads_unknown_values(enum: type) -> bool:
    """Whether the decoder takes values that the enum does not list, by `_missing_`."""
    try:
        msgspec.convert("a value that nobody declared", enum)
    except msgspec.ValidationError:
        return False
    return True


def _refers_to(schema: object, ref: str) -> bool:
    if isinstance(schema, Mapping):
        return schema.get("$ref") == ref or any(_refers_to(v, ref) for v in schema.values())
    return isinstance(schema, list) and any(_refers_to(item, ref) for item in schema)
