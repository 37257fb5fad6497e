"""Frozen dataclasses from JSON, back to JSON, and as a JSON schema.

A field's type says what JSON may hold there. `Annotated` adds what the field means, as a string, and what the type
can't say: a `Range`, a `Length`, or the `Key` by which JSON knows the field.
"""

import math
import sys
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
DRAFT = "https://json-schema.org/draft/2020-12/schema"
MOST_SHOWN = 40
"""Characters of a wrong value that an error shows."""


class FieldError(ValueError):
    """A field of a JSON document that is missing or holds what its type does not allow."""

    def __init__(self, path: str, problem: str, *, missing: bool = False):
        super().__init__(f"`{path or 'the document'}` {problem}")
        self.path = path
        self.missing = missing


@dataclass(frozen=True)
class Range:
    """The least and the greatest number that a field may hold, both included."""

    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True)
class Length:
    """The least and the greatest number of characters, items or keys that a field may hold."""

    low: int = 0
    high: int | None = None


@dataclass(frozen=True)
class Key:
    """The key of a field in JSON, where it can't be a name in Python."""

    name: str


@dataclass(frozen=True)
class _Field:
    """A dataclass field as JSON knows it."""

    name: str
    key: str
    kind: Any
    note: str
    required: bool


def from_json(kind: type[T], value: Any, path: str = "") -> T:
    """Returns parsed JSON as a value of a type.

    Unknown keys are ignored, so that a document of a later release can be read.

    Args:
        kind: A dataclass, or any type that a field of one may have.
        value: Parsed JSON.
        path: Where the value lies in its document, such as ``metrics.oai_test``, for errors.

    Raises:
        FieldError: A field is missing or holds what its type does not allow; the error names it.
    """
    return _read(kind, value, path)


def to_json(value: Any) -> Any:
    """Returns a value as JSON can hold it; optional fields that are None or empty are left out."""
    if is_dataclass(value) and not isinstance(value, type):
        pairs = ((field, getattr(value, field.name)) for field in _fields(type(value)))
        return {
            field.key: to_json(inner)
            for field, inner in pairs
            if field.required or not (inner is None or (isinstance(inner, tuple | Mapping) and not inner))
        }
    if isinstance(value, Mapping):
        return {str(key): to_json(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(inner) for inner in value]
    return value


def schema_of(kind: type, title: str) -> dict[str, Any]:
    """Returns the JSON schema of documents that a dataclass describes; `title` is the document's name."""
    definitions: dict[str, Any] = {}
    whole = _object_schema(kind, definitions)
    return {"$schema": DRAFT, "title": title, **whole, "$defs": dict(sorted(definitions.items()))}


@cache
def _fields(kind: type) -> tuple[_Field, ...]:
    hints = get_type_hints(kind, include_extras=True)
    found = []
    for field in fields(kind):
        notes = _split(hints[field.name])[1]
        key = next((note.name for note in notes if isinstance(note, Key)), field.name)
        text = next((note for note in notes if isinstance(note, str)), "")
        required = field.default is MISSING and field.default_factory is MISSING
        found.append(_Field(field.name, key, hints[field.name], text, required))
    return tuple(found)


def _split(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    """The type itself, and what `Annotated` adds to it."""
    return (kind.__origin__, kind.__metadata__) if get_origin(kind) is Annotated else (kind, ())


def _read(kind: Any, value: Any, path: str) -> Any:
    kind, notes = _split(kind)
    read = _read_plain(kind, value, path)
    for note in notes:
        _check(note, read, path)
    return read


def _read_plain(kind: Any, value: Any, path: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, UnionType):
        return None if value is None else _read(_not_none(arguments), value, path)
    if origin is Literal:
        if value not in arguments or isinstance(value, bool):
            raise FieldError(path, f"is {_shown(value)}; {' or '.join(map(repr, arguments))} is needed")
        return value
    if isinstance(kind, type) and is_dataclass(kind):
        _needs(value, dict, "an object", path)
        return kind(**{field.name: _read_field(field, value, path) for field in _fields(kind) if _given(field, value)})
    if origin is dict:
        _needs(value, dict, "an object", path)
        return {key: _read(arguments[1], inner, _below(path, key)) for key, inner in value.items()}
    if origin is tuple:
        _needs(value, list, "a list", path)
        kinds = (arguments[0],) * len(value) if arguments[1:] == (...,) else arguments
        if len(kinds) != len(value):
            raise FieldError(path, f"has {len(value)} items; {len(kinds)} are needed")
        return tuple(
            _read(one, inner, _below(path, at)) for at, (one, inner) in enumerate(zip(kinds, value, strict=True))
        )
    return _scalar(kind, value, path)


def _given(field: _Field, value: Mapping[str, Any]) -> bool:
    return field.required or value.get(field.key) is not None


def _read_field(field: _Field, value: Mapping[str, Any], path: str) -> Any:
    below = _below(path, field.key)
    if field.key not in value:
        raise FieldError(below, "is missing", missing=True)
    return _read(field.kind, value[field.key], below)


def _scalar(kind: Any, value: Any, path: str) -> Any:
    if kind is float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
            raise FieldError(path, f"is {_shown(value)}; a finite number is needed")
        return float(value)
    if kind is int and isinstance(value, bool):
        raise FieldError(path, f"is {_shown(value)}; a whole number is needed")
    names = {str: "text", int: "a whole number", bool: "true or false"}
    _needs(value, kind, names[kind], path)
    return value


def _needs(value: Any, kind: type, name: str, path: str) -> None:
    if not isinstance(value, kind):
        raise FieldError(path, f"is {_shown(value)}; {name} is needed")


def _check(note: Any, value: Any, path: str) -> None:
    if value is None:
        return
    if isinstance(note, Range) and not note.low <= value <= note.high:
        raise FieldError(path, f"is {_shown(value)}; a number of {note.low:g} to {note.high:g} is needed")
    if isinstance(note, Length) and not note.low <= len(value) <= (math.inf if note.high is None else note.high):
        raise FieldError(path, f"has a length of {len(value)}; {_span(note)} is needed")


def _span(length: Length) -> str:
    return f"{length.low} or more" if length.high is None else f"{length.low} to {length.high}"


def _not_none(arguments: tuple[Any, ...]) -> Any:
    (kind,) = (one for one in arguments if one is not NoneType)
    return kind


def _below(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return "null" if value is None else repr(value)[:MOST_SHOWN]


def _object_schema(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    known = _fields(kind)
    return {
        "description": " ".join((kind.__doc__ or "").split()),
        "type": "object",
        "properties": {field.key: _schema(field.kind, definitions) for field in known},
        "required": [field.key for field in known if field.required],
        "additionalProperties": False,
    }


def _schema(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    kind, notes = _split(kind)
    schema = _plain_schema(kind, definitions)
    for note in notes:
        schema |= _limits(note, schema)
    return schema


def _plain_schema(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return {}
    if origin in (Union, UnionType):
        return {"anyOf": [_schema(_not_none(arguments), definitions), {"type": "null"}]}
    if origin is Literal:
        return {"const": arguments[0]} if len(arguments) == 1 else {"enum": list(arguments)}
    if isinstance(kind, type) and is_dataclass(kind):
        name = kind.__name__
        if name not in definitions:
            definitions[name] = {}  # a place for types that hold themselves
            definitions[name] = _object_schema(kind, definitions)
        return {"$ref": f"#/$defs/{name}"}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(arguments[1], definitions) or True}
    if origin is tuple and arguments[1:] == (...,):
        return {"type": "array", "items": _schema(arguments[0], definitions)}
    if origin is tuple:
        items = [_schema(one, definitions) for one in arguments]
        return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}
    return {"type": {str: "string", int: "integer", float: "number", bool: "boolean"}[kind]}


def _limits(note: Any, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords of JSON Schema for one note of a field."""
    if isinstance(note, str):
        return {"description": note}
    if isinstance(note, Range):
        ends = {"minimum": note.low, "maximum": note.high}
        return {name: int(end) if end == int(end) else end for name, end in ends.items() if math.isfinite(end)}
    if isinstance(note, Length):
        noun = {"string": "Length", "array": "Items", "object": "Properties"}[schema["type"]]
        ends = {f"min{noun}": note.low or None, f"max{noun}": note.high}
        return {name: end for name, end in ends.items() if end is not None}
    return {}
