"""Converts between frozen dataclasses and JSON, for bundle.json and evidence.json.

A field's type says what JSON may hold there. `Annotated` adds what the type can't say: the meaning as a string, a
`Range`, a `Length`, a `Printable`, or the `Key` that names the field in JSON. `json_schema.schema_of` derives the
published schema from the same types.
"""

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from .errors import BundleError, BundleIncomplete, BundleUnsupported

T = TypeVar("T")
SCHEMA_VERSION = 1
"""This release reads and writes this version of bundle.json, evidence.json and manifest.json."""
MOST_SHOWN = 40
"""An error shows at most 40 characters of a wrong value."""


class FieldError(ValueError):
    """Reports a field of a JSON document that is missing or holds what its type does not allow."""

    def __init__(self, path: str, problem: str, *, missing: bool = False):
        super().__init__(f"`{path or 'the document'}` {problem}")
        self.missing = missing


@dataclass(frozen=True)
class Range:
    """Sets the least and the greatest number that a field may hold, both included."""

    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True)
class Length:
    """Sets the least and the greatest number of characters, items or keys that a field may hold."""

    low: int = 0
    high: int | None = None


@dataclass(frozen=True)
class Printable:
    """Requires a text without control characters, which a terminal can show."""


@dataclass(frozen=True)
class Key:
    """Names a field in JSON if Python does not allow that name."""

    name: str


@dataclass(frozen=True)
class Field:
    """Describes a field of a dataclass as JSON knows it.

    Attributes:
        name: The field's name in Python.
        key: The field's name in JSON.
        kind: The field's type with all notes.
        required: Whether JSON must hold the field. A constant must always be there.
        empty: Whether the field is empty by default.
    """

    name: str
    key: str
    kind: Any
    required: bool
    empty: bool


def read_document(kind: type[T], content: bytes, source: str, *, closed: bool = False) -> T:
    """Return a JSON file of a bundle as a dataclass.

    Args:
        kind: The dataclass that describes the file.
        content: The file's bytes.
        source: The file's path, for errors.
        closed: Whether an unknown key is an error. Otherwise it is ignored, so that a later release may add some.

    Raises:
        BundleUnsupported: The file has another schema version.
        BundleIncomplete: A field is missing; the error names it.
        BundleError: The file is not JSON, or a field holds what its type does not allow; the error names it.
    """
    document = json_object(content, source)
    try:
        return from_json(kind, document, closed=closed)
    except FieldError as error:
        raised = BundleIncomplete if error.missing else BundleError
        raise raised(f"{source}: {error}. Pull the bundle again, or export it again.") from None


def json_object(content: bytes, source: str) -> dict[str, Any]:
    """Return a JSON object of this schema version. Raises BundleError kinds that name the `source`."""
    try:
        document = json.loads(content, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise BundleError(f"{source} is not JSON; pull the bundle again.") from None
    if not isinstance(document, dict):
        raise BundleError(f"{source} is not a JSON object; pull the bundle again.")
    version = document.get("schema_version")
    if type(version) is not int or version != SCHEMA_VERSION:
        raise BundleUnsupported(
            f"{source} has schema_version {_shown(version)}; this release reads {SCHEMA_VERSION}. Upgrade kneeoa-hub or"
            " pull an older revision."
        )
    return document


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number of JSON")


def from_json(kind: type[T], value: Any, *, closed: bool = False) -> T:
    """Return parsed JSON as a value of a type.

    Args:
        kind: A dataclass, or any type that a field of one may have.
        value: Parsed JSON.
        closed: Whether an unknown key is an error. Otherwise it is ignored.

    Raises:
        FieldError: A field is missing or holds what its type does not allow; the error names it.
    """
    return _Reader(closed).read(kind, value, "")


def to_json(value: Any) -> Any:
    """Return a value in a form that JSON can hold.

    A field that is None, or empty by default, is left out.
    """
    if is_dataclass(value) and not isinstance(value, type):
        pairs = ((field, getattr(value, field.name)) for field in fields_of(type(value)))
        return {
            field.key: to_json(inner)
            for field, inner in pairs
            if field.required or not (inner is None or (field.empty and inner in ((), {})))
        }
    if isinstance(value, Mapping):
        return {str(key): to_json(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(inner) for inner in value]
    return value


@cache
def fields_of(kind: type) -> tuple[Field, ...]:
    """Return the fields of a dataclass as JSON knows them."""
    hints = get_type_hints(kind, include_extras=True)
    found = []
    for field in fields(kind):
        plain, notes = notes_of(hints[field.name])
        keys = [note.name for note in notes if isinstance(note, Key)]
        constant = get_origin(plain) is Literal and len(get_args(plain)) == 1
        required = constant or (field.default is MISSING and field.default_factory is MISSING)
        empty = field.default == () or field.default_factory is dict
        found.append(Field(field.name, keys[0] if keys else field.name, hints[field.name], required, empty))
    return tuple(found)


def notes_of(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return a type without `Annotated`, and the notes that `Annotated` adds to it."""
    return (kind.__origin__, kind.__metadata__) if get_origin(kind) is Annotated else (kind, ())


def without_none(kind: Any) -> Any:
    """Return the other type of an optional type, the one that is not None."""
    (other,) = (one for one in get_args(kind) if one is not NoneType)
    return other


@dataclass(frozen=True)
class _Reader:
    """Reads JSON by types. `path` is the place of a value in its document, such as ``metrics.oai_test``."""

    closed: bool

    def read(self, kind: Any, value: Any, path: str) -> Any:
        """Return a parsed JSON value as the type `kind`.

        Args:
            kind: The type.
            value: The parsed value.
            path: The place of the value, for errors.
        """
        kind, notes = notes_of(kind)
        read = self._plain(kind, value, path)
        for note in notes:
            _check(note, read, path)
        return read

    def _plain(self, kind: Any, value: Any, path: str) -> Any:
        origin, arguments = get_origin(kind), get_args(kind)
        if kind is Any:
            return value
        if origin in (Union, UnionType):
            return None if value is None else self.read(without_none(kind), value, path)
        if origin is Literal:
            if not any(value == one and type(value) is type(one) for one in arguments):
                raise FieldError(path, f"is {_shown(value)}; {' or '.join(map(repr, arguments))} is needed")
            return value
        if isinstance(kind, type) and is_dataclass(kind):
            return self._object(kind, value, path)
        if origin is dict:
            _needs(value, dict, path)
            return {key: self.read(arguments[1], inner, _below(path, key)) for key, inner in value.items()}
        if origin is tuple:
            _needs(value, list, path)
            if arguments == (float, ...) and all(type(one) is float and math.isfinite(one) for one in value):
                return tuple(
                    value
                )  # the quick way of thousands of numbers, for which the rest takes a tenth of a second
            kinds = arguments[:1] * len(value) if arguments[1:] == (...,) else arguments
            if len(kinds) != len(value):
                raise FieldError(path, f"has {len(value)} items; {len(kinds)} are needed")
            pairs = zip(kinds, value, strict=True)
            return tuple(self.read(one, inner, _below(path, at)) for at, (one, inner) in enumerate(pairs))
        if kind is float:
            if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
                raise FieldError(path, f"is {_shown(value)}; a finite number is needed")
            return float(value)
        _needs(value, kind, path)
        return value

    def _object(self, kind: type, value: Any, path: str) -> Any:
        _needs(value, dict, path)
        known = fields_of(kind)
        if self.closed and (unknown := sorted(value.keys() - {field.key for field in known})):
            raise FieldError(_below(path, unknown[0][:MOST_SHOWN]), "is unknown to this release; upgrade kneeoa-hub")
        found = {}
        for field in known:
            below = _below(path, field.key)
            if field.required and field.key not in value:
                raise FieldError(below, "is missing", missing=True)
            if field.required or value.get(field.key) is not None:
                found[field.name] = self.read(field.kind, value[field.key], below)
        return kind(**found)


_NAMES = {dict: "an object", list: "a list", str: "text", int: "a whole number", bool: "true or false"}


def _needs(value: Any, kind: type, path: str) -> None:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise FieldError(path, f"is {_shown(value)}; {_NAMES[kind]} is needed")


def _check(note: Any, value: Any, path: str) -> None:
    if value is None:
        return
    if isinstance(note, Range) and not note.low <= value <= note.high:
        raise FieldError(path, f"is {_shown(value)}; a number of {note.low:g} to {note.high:g} is needed")
    if isinstance(note, Length) and not note.low <= len(value) <= (math.inf if note.high is None else note.high):
        span = f"{note.low} or more" if note.high is None else f"{note.low} to {note.high}"
        raise FieldError(path, f"has a length of {len(value)}; {span} is needed")
    if isinstance(note, Printable) and not value.isprintable():
        raise FieldError(path, f"is {_shown(value)}; a text without control characters is needed")


def _below(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return _NAMES[type(value)]
    return "null" if value is None else repr(value)[:MOST_SHOWN]
