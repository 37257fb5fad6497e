"""Derives the JSON schema of a document from the frozen dataclass that describes it; see `typed_json`."""

import math
from collections.abc import Mapping
from dataclasses import is_dataclass
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from .typed_json import Length, Range, fields_of, notes_of, without_none

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_NAMES = {str: "string", int: "integer", float: "number", bool: "boolean"}
_COUNTED = {"string": "Length", "array": "Items", "object": "Properties"}
"""A schema names the length of each type by this word in its keywords."""


def schema_of(kind: type, title: str) -> dict[str, Any]:
    """Return the JSON schema of documents that a dataclass describes; `title` is the document's name."""
    definitions: dict[str, Any] = {}
    whole = _object(kind, definitions)
    return {"$schema": DRAFT, "title": title, **whole, "$defs": dict(sorted(definitions.items()))}


def _object(kind: type, definitions: dict[str, Any]) -> dict[str, Any]:
    known = fields_of(kind)
    return {
        "description": " ".join((kind.__doc__ or "").split()),
        "type": "object",
        "properties": {field.key: _schema(field.kind, definitions) for field in known},
        "required": [field.key for field in known if field.required],
        "additionalProperties": False,
    }


def _schema(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    kind, notes = notes_of(kind)
    schema = _plain(kind, definitions)
    for note in notes:
        schema |= _keywords(note, schema)
    return schema


def _plain(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return {}
    if origin in (Union, UnionType):
        return {"anyOf": [_schema(without_none(kind), definitions), {"type": "null"}]}
    if origin is Literal:
        return {"const": arguments[0]} if len(arguments) == 1 else {"enum": list(arguments)}
    if isinstance(kind, type) and is_dataclass(kind):
        if kind.__name__ not in definitions:
            definitions[kind.__name__] = _object(kind, definitions)
        return {"$ref": f"#/$defs/{kind.__name__}"}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(arguments[1], definitions) or True}
    if origin is tuple and arguments[1:] == (...,):
        return {"type": "array", "items": _schema(arguments[0], definitions)}
    if origin is tuple:
        items = [_schema(one, definitions) for one in arguments]
        return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}
    return {"type": _NAMES[kind]}


def _keywords(note: Any, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema keywords that one annotation of a field adds."""
    if isinstance(note, str):
        return {"description": note}
    if isinstance(note, Range):
        ends = {"minimum": note.low, "maximum": note.high}
        return {name: int(end) if end == int(end) else end for name, end in ends.items() if math.isfinite(end)}
    if isinstance(note, Length):
        noun = _COUNTED[schema["type"]]
        ends = {f"min{noun}": note.low or None, f"max{noun}": note.high}
        return {name: end for name, end in ends.items() if end is not None}
    return {}
