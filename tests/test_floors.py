"""The library imports downwards only, and environment variables are read in one place."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
FLOORS = [
    {"grades", "errors", "settings", "values"},
    {"bundle", "runtime", "decision", "agreement"},
    {"imaging"},
    {"overlay", "report", "card_sections", "card_outside", "card_training", "card", "answers", "document", "dicom_objects", "beside"},
    {"address", "presets", "versioned", "hub_client", "hub_download", "hub_upload", "publishable", "hub"},
    {"grader"},
    {"cli"},
]
# Within a floor, a module may use those named before it here.
WITHIN = {
    "report": {"overlay"}, "runtime": {"bundle"}, "decision": {"bundle"}, "imaging": {"imaging"}, "settings": {"errors"},
    "card": {"report", "card_sections", "card_outside", "card_training"}, "card_outside": {"card_sections"}, "card_training": {"card_sections"},
    "answers": {"report"}, "document": {"overlay", "report"}, "dicom_objects": {"report"}, "beside": {"answers", "report", "document", "dicom_objects"},
    "hub": {"address", "presets", "versioned", "hub_client", "hub_download", "hub_upload", "publishable"},
    "hub_download": {"address", "versioned", "hub_client"}, "hub_upload": {"versioned", "hub_client"},
    "presets": {"address"}, "versioned": {"address"},
}  # fmt: skip


def imports(path: Path) -> set[str]:
    """Names of the package's own modules that a file of kneeoa_hub imports."""
    depth = len(path.relative_to(ROOT / "kneeoa_hub").parts)
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            if node.level == depth:
                found |= {node.module.split(".")[0]} if node.module else {alias.name for alias in node.names}
            else:
                found.add(path.parent.name)
    return found - {"__version__"}


def test_modules_import_downwards_only():
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    wrong = []
    for path in sorted((ROOT / "kneeoa_hub").rglob("*.py")):
        name = path.relative_to(ROOT / "kneeoa_hub").parts[0].removesuffix(".py")
        if name == "__init__":
            continue
        for other in imports(path):
            if not (floor[other] < floor[name] or other in WITHIN.get(name, set())):
                wrong.append(f"{path.name} imports {other}")
    assert wrong == []


def test_the_library_knows_nothing_of_the_floors_above():
    for path in (ROOT / "kneeoa_hub").rglob("*.py"):
        text = path.read_text("utf-8")
        assert not any(f"import {name}" in text or f"from {name}" in text for name in ("tuning", "flask_app", "spaces")), path


def test_environment_variables_of_the_package_are_documented_and_read_in_settings_alone():
    from dataclasses import fields

    from kneeoa_hub.settings import Settings

    documented = (ROOT / "docs" / "settings.md").read_text("utf-8")
    assert all(f"`KNEEOA_{field.name.upper()}`" in documented for field in fields(Settings))
    for folder in ("kneeoa_hub", "flask_app", "spaces", "tuning"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.name != "settings.py":
                text = path.read_text("utf-8")
                assert 'environ["KNEEOA' not in text, path
                assert 'environ.get("KNEEOA' not in text, path
