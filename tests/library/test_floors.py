"""Imports go downwards only and never in a circle, and environment variables are read in one place."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = [
    {
        "arguments",
        "batches",
        "grades",
        "errors",
        "files",
        "escaping",
        "links",
        "json_schema",
        "keras_files",
        "manifest",
        "settings",
        "sources",
        "third_party",
        "typed_json",
        "watchdog",
    },
    {"bundle", "evidence", "runtime", "decision", "agreement"},
    {"imaging"},
    {"networks", "overlay", "knee", "grading", "report", "study"},
    {"output", "card", "archive"},
    {"hub"},
    {"pickled"},
    {"grader"},
    {"opening"},
    {"dataset"},
    {"cli"},
]
TUNING = [{"run"}, {"data"}, {"networks"}, {"training"}, {"synthetic"}, {"evaluation"}, {"searching"}]
"""The folders of tuning. A module beside them is a step, above all of them."""
WITHIN = {
    "arguments": {"errors"},
    "settings": {"errors"},
    "sources": {"typed_json"},
    "typed_json": {"errors"},
    "json_schema": {"typed_json"},
    "manifest": {"errors", "links", "typed_json"},
    "runtime": {"bundle"},
    "decision": {"bundle"},
    "bundle": {"evidence"},
    "grading": {"knee"},
    "report": {"knee", "overlay"},
    "study": {"knee", "report"},
}
"""Within a floor of the library, a module may use those named here."""
ABOVE = ("flask_app", "spaces", "tuning")
SHOWN_BY = {f"kneeoa_hub.{name}": "kneeoa_hub.output.notebook" for name in ("knee", "report")}
"""A module whose objects are shown by one above it. Only methods import that, when they are called."""


def modules() -> dict[str, Path]:
    """Files of the packages by the name they are imported by."""
    found = {}
    for package in ("kneeoa_hub", *ABOVE):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imported(name: str, *, within_functions: bool) -> Iterator[tuple[str, str]]:
    """Yield the module and the name of each import in a file, "" for a whole module; at its top alone if asked for."""
    path = MODULES[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    left: list[ast.AST] = [ast.parse(path.read_text("utf-8"))]
    for node in left:
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((base, alias.name) for alias in node.names)
        elif within_functions or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            left += ast.iter_child_nodes(node)


RESOLVED = {name: module for module, name in imported("kneeoa_hub", within_functions=False) if module in MODULES}
"""The package resolves these names when they are first used. Each comes from this module."""


def imports(name: str, *, within_functions: bool = True) -> set[str]:
    """Return the modules of ours that a module imports, by default anywhere in its file."""
    found = set()
    for base, alias in imported(name, within_functions=within_functions):
        inner = f"{base}.{alias}"
        source = RESOLVED.get(alias, base) if base == "kneeoa_hub" else base
        found.add(inner if inner in MODULES else source)
    return (found & set(MODULES)) - {name, "kneeoa_hub"}


def room(name: str) -> str:
    return name.split(".")[1]


def floors(rooms: list[set[str]]) -> dict[str, int]:
    return {name: number for number, names in enumerate(rooms) for name in names}


def test_the_library_imports_downwards_only():
    floor, wrong = floors(LIBRARY), []
    for name in MODULES:
        if not name.startswith("kneeoa_hub."):
            continue
        for other in imports(name):
            if not other.startswith("kneeoa_hub.") or (
                room(other) != room(name)
                and floor[room(other)] >= floor[room(name)]
                and room(other) not in WITHIN.get(room(name), set())
                and other != SHOWN_BY.get(name)
            ):
                wrong.append(f"{name} imports {other}")
    assert wrong == []


def test_what_shows_an_object_is_imported_when_it_is_shown():
    for name, shown_by in SHOWN_BY.items():
        assert shown_by in imports(name)
        assert shown_by not in imports(name, within_functions=False)


def test_the_rooms_of_tuning_import_downwards_only():
    floor, wrong = floors(TUNING), []
    for name in MODULES:
        if name.startswith("tuning."):
            others = (other for other in imports(name) if other.startswith("tuning."))
            above = [
                other
                for other in others
                if room(other) != room(name) and floor.get(room(other), 9) >= floor.get(room(name), 10)
            ]
            wrong += [f"{name} imports {other}" for other in above]
    assert wrong == []


def test_the_parts_above_the_library_do_not_import_each_other():
    """The app, the Space and tuning know the library and nothing of each other."""
    wrong = []
    for name in MODULES:
        if name.partition(".")[0] in ABOVE:
            own = (name.partition(".")[0], "kneeoa_hub")
            wrong += [f"{name} imports {other}" for other in imports(name) if other.partition(".")[0] not in own]
    assert wrong == []


def test_no_module_imports_itself_by_way_of_others():
    graph = {name: imports(name) - {SHOWN_BY.get(name)} for name in MODULES if name != "kneeoa_hub"}
    assert len(list(TopologicalSorter(graph).static_order())) == len(graph)


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


def test_no_test_file_imports_another():
    """What several need lies in `support` or in a conftest, so that a file can be moved, split or run by itself."""
    wrong = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and "test_" in (node.module or ""):
                wrong.append(f"{path.relative_to(ROOT)} imports {node.module}")
    assert wrong == []


def test_no_test_patches_a_private_name():
    """A test that does so holds a module to names that the module is free to change."""
    wrong = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Assign):
                changed = [one for one in node.targets if isinstance(one, ast.Attribute)]
                names = [one.attr for one in changed if ast.unparse(one.value) not in ("self", "cls")]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and "setattr" in node.func.attr:
                names = [str(one.value) for one in node.args[:2] if isinstance(one, ast.Constant)]
            private = [name for name in names if re.match(r"_[^_]", name.rpartition(".")[2])]
            wrong += [f"{path.relative_to(ROOT)} patches {name}" for name in private]
    assert wrong == []


@pytest.mark.slow
def test_collecting_the_tests_imports_nothing_heavy():
    """Each of these takes half a second or more, TensorFlow ten; a test that needs one imports it when it runs."""
    heavy = ("tensorflow", "absl", "keras", "sklearn", "scipy", "matplotlib", "gradio", "schemathesis", "jsonschema")
    heavy += ("pandas", "ray", "pyarrow")
    code = f"import sys, pytest; pytest.main(['--collect-only', '-q']); print([n for n in {heavy} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
