"""Tests use validators of the published JSON schemas, and the schemas that are derived from the package's types.

`python -m tests.support.schemas` writes the derived ones anew.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from kneeoa_hub.bundle import bundle_schema
from kneeoa_hub.evidence import evidence_schema

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
DERIVED = {"bundle": bundle_schema, "evidence": evidence_schema}


def derived(name: str) -> str:
    """Return the text of a schema's file."""
    return json.dumps(DERIVED[name](), indent=1) + "\n"


def read_schema(name: str) -> dict:
    """Return the published schema of that name."""
    return json.loads((SCHEMAS / f"{name}.schema.json").read_text("utf-8"))


def schema(name: str) -> "Draft202012Validator":
    """Return a validator of the published schema of that name."""
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(read_schema(name))
    return Draft202012Validator(read_schema(name))


def definitions(name: str) -> dict:
    """Return the parts of the published schema of that name, each by its own name."""
    return read_schema(name)["$defs"]


if __name__ == "__main__":
    for name in DERIVED:
        (SCHEMAS / f"{name}.schema.json").write_text(derived(name), "utf-8")
