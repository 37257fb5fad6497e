"""Reads from `sources.toml` what card and reports say about known collections, and about models of other groups."""

import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from .typed_json import from_json

SPLITS = {"val": "validation"}
"""The card names splits in these words. Other splits keep their name."""


@dataclass(frozen=True, kw_only=True)
class Collection:
    """Describes a published collection of films: name, splits, content, citation, and how it was graded."""

    name: str
    title: str
    about: str
    splits: dict[str, str]
    citation: str
    readers: str


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Describes a model of another group, with the measures that its authors give for the official OAI test split.

    A measure that they do not give is empty.
    """

    name: str
    link: str = ""
    weights: str
    qwk: str = ""
    accuracy: str
    balanced_accuracy: str = ""
    mae: str = ""


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Holds the content of sources.toml."""

    collections: tuple[Collection, ...] = field(default=())
    peers: tuple[Peer, ...] = field(default=())


@cache
def sources() -> Sources:
    """Return the known collections and models."""
    text = (Path(__file__).parent / "sources.toml").read_text("utf-8")
    return from_json(Sources, tomllib.loads(text), closed=True)


def collection(name: str) -> Collection | None:
    """Return the known collection of a dataset's name, or None for any other dataset."""
    return next((one for one in sources().collections if one.name == name), None)


def title(name: str) -> str:
    """Return the name of a set of films in words: ``oai_test`` is "OAI, test half"."""
    dataset, _, split = name.rpartition("_")
    if not dataset:
        return name
    known = collection(dataset)
    words = SPLITS | (known.splits if known else {})
    return f"{collection_title(dataset)}, {words.get(split, split)}"


def collection_title(name: str) -> str:
    """Return the name of a dataset in words: ``oai`` is "OAI"."""
    known = collection(name)
    return known.title if known else name


def readers_followed(protocol: str | None) -> str:
    """Return a sentence that names the readers whom a model follows, or "" for one without a reading protocol."""
    return f"Its grades follow the readers of {collection_title(protocol)}." if protocol else ""
