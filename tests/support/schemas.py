"""The published schemas that are derived from the package's types.

`python -m tests.support.schemas` writes them anew.
"""

import json
from pathlib import Path

from kneeoa_hub.evidence import evidence_schema

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
DERIVED = {"evidence": evidence_schema}


def derived(name: str) -> str:
    """The text of a schema's file."""
    return json.dumps(DERIVED[name](), indent=1) + "\n"


if __name__ == "__main__":
    for name in DERIVED:
        (SCHEMAS / f"{name}.schema.json").write_text(derived(name), "utf-8")
