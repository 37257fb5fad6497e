"""Every error, refusal, command, option and setting is documented."""

import argparse
import ast
import inspect
import json
import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

from kneeoa_hub import cli, errors
from kneeoa_hub.imaging.phantom import sample_films
from kneeoa_hub.imaging.refusal import MESSAGES
from tuning import __main__ as tuning

from ..support.commands_page import page

ROOT = Path(__file__).parents[2]


def test_every_error_and_refusal_is_documented():
    text = (ROOT / "docs" / "errors.md").read_text("utf-8")
    kinds = [c for c in vars(errors).values() if inspect.isclass(c) and issubclass(c, errors.KneeOAError)]
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert all(f"| `{kind.__name__}` | `{kind.code}` | {kind.status} | {kind.__doc__} |" in text for kind in kinds)
    assert all(f"| `{reason}` | {message} |" in text for reason, message in MESSAGES.items())


def public_functions(path: Path) -> Iterator[ast.FunctionDef]:
    """The functions of a module, and the methods of its public classes."""
    body = ast.parse(path.read_text("utf-8")).body
    for node in (*body, *(n for c in body if isinstance(c, ast.ClassDef) and c.name[0] != "_" for n in c.body)):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node


@pytest.mark.parametrize("package", ["kneeoa_hub", "tuning", "flask_app", "spaces", "benchmarks"])
def test_a_public_function_of_more_than_two_arguments_explains_each(package):
    unexplained = []
    for path in sorted((ROOT / package).rglob("*.py")):
        for function in public_functions(path):
            given = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
            names = [one.arg for one in given if one.arg not in ("self", "cls")]
            _, _, explained = (ast.get_docstring(function) or "").partition("Args:\n")
            if len(names) > 2 and not all(re.search(rf"^ +{name}: ", explained, re.MULTILINE) for name in names):
                unexplained.append(f"{path.relative_to(ROOT)}: {function.name}")
    assert unexplained == []


def test_every_command_and_option_is_documented():
    assert (ROOT / "docs" / "commands.md").read_text("utf-8") == page()
    assert all(meaning.strip() for meaning in re.findall(r"^\| `.*` \|(.*)\|$", page(), re.MULTILINE))


PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "start").glob("*.md")),
]


def commands(text: str) -> Iterator[list[str]]:
    """The words of each line of a block, and of each span of code, that calls one of this project's commands."""
    text = text.replace("\\\n", " ")  # a line that goes on
    lines = re.findall(r"^(?: {4,}|```.*\n)?(.+)$", text, re.MULTILINE) + re.findall(r"`([^`\n]+)`", text)
    for line in lines:
        command = re.match(r"\s*(?:[A-Z_]+=\S+ )*((?:kneeoa|make|(?:\S*/)?python -m) [^|>#]*)", line)
        if command and "..." not in command[1]:
            yield shlex.split(command[1].replace("[", "").replace("]", ""))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_commands_of_the_docs_are_understood(path, capsys):
    parsers = {("kneeoa",): cli.parser, ("python", "-m", "tuning"): tuning.parser}
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for words in commands(path.read_text("utf-8")):
        words[0] = Path(words[0]).name
        parser = next((make() for start, make in parsers.items() if tuple(words[: len(start)]) == start), None)
        if words[0] == "make":
            assert words[1] in targets, words
        elif parser is None:
            assert find_spec(words[2]), words
        # a bare command is mentioned, not called
        elif len(arguments := words[1:] if words[0] == "kneeoa" else words[3:]) > 1:
            assert understood(parser, arguments), (words, capsys.readouterr().err)


def understood(parser: argparse.ArgumentParser, arguments: list[str]) -> bool:
    try:
        parser.parse_args(arguments)
    except SystemExit as stopped:  # after --help, or after a usage error
        return stopped.code == 0
    return True


def test_every_environment_variable_is_documented():
    read = set()
    for package in ("kneeoa_hub", "flask_app", "spaces", "tuning"):
        for path in (ROOT / package).rglob("*.py"):
            read |= set(re.findall(r"\b(?:KNEEOA|HF|KERAS|GRADIO)_[A-Z_]+\b", path.read_text("utf-8")))
    documented = set(
        re.findall(
            r"`((?:KNEEOA|HF|KERAS|GRADIO)_[A-Z_]+)`",
            "".join(path.read_text("utf-8") for path in (ROOT / "docs").glob("*.md")),
        )
    )
    assert "KNEEOA_MODEL" in read
    assert read <= documented


def test_every_exit_code_is_documented():
    text = (ROOT / "docs" / "errors.md").read_text("utf-8")
    code = "".join(path.read_text("utf-8") for path in (ROOT / "kneeoa_hub" / "cli").glob("*.py"))
    returned = set(re.findall(r"return (?:1 if .* else )?(\d+)\n", code))
    assert {"0", "1", "2", "130"} == returned | {"0"}
    assert all(f"| {code} |" in text for code in returned)


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "schemas").glob("*.json")), ids=lambda path: path.name)
def test_every_field_of_a_schema_says_what_it_is(path: Path):
    assert [
        name for name, field in fields(json.loads(path.read_text("utf-8"))) if len(field.get("description", "")) < 5
    ] == []


def fields(schema: dict, path: str = "") -> Iterator[tuple[str, dict]]:
    """Every property that a schema names, at any depth."""
    for name, below in schema.get("properties", {}).items():
        yield f"{path}/{name}", below
        yield from fields(below, f"{path}/{name}")
    for name, below in schema.get("$defs", {}).items():
        yield from fields(below, f"{path}/{name}")
    for below in (schema.get("items"), schema.get("additionalProperties"), *schema.get("anyOf", ())):
        if isinstance(below, dict):
            yield from fields(below, f"{path}/*")


def test_the_links_of_the_readme_lead_somewhere():
    text = (ROOT / "README.md").read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if not link.startswith("http")]
    assert links
    assert all((ROOT / link).exists() for link in links)


def test_the_readme_cites_the_data_that_the_citation_file_names():
    readme, cited = ((ROOT / name).read_text("utf-8") for name in ("README.md", "CITATION.cff"))
    assert re.findall(r"doi:(10[^)\s]+)", readme) == re.findall(r"doi: (.+)", cited) != []


@pytest.mark.parametrize("page", ["README.md", "docs/api.md", "docs/start/researcher.md"])
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch, capsys):
    code = "\n".join(re.findall(r"```python\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL))
    Image.fromarray(sample_films()["severe"].pixels).save(tmp_path / "knee.png")
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert re.search(r"Kellgren-Lawrence grade|\b[34] (?:Moderate|Severe) ", capsys.readouterr().out)
    assert page != "README.md" or (tmp_path / "graded.png").stat().st_size > 0


def test_the_clinicians_page_has_the_sensitivity_of_the_evidence():
    text = " ".join((ROOT / "docs" / "start" / "clinician.md").read_text("utf-8").split())
    evidence = json.loads((ROOT / "kneeoa_hub/pretrained/kneeoa-cnn/evidence.json").read_text("utf-8"))
    for name in ("oai_test", "gornale_test"):
        number = evidence["metrics"][name]["sensitivity_oa"]
        assert f"{number['value']:.2f} ({number['low']:.2f} to {number['high']:.2f})" in text


def test_no_path_of_a_machine_is_in_the_bundle_or_its_card():
    folder = ROOT / "kneeoa_hub" / "pretrained" / "kneeoa-cnn"
    for path in [*folder.glob("*.json"), folder / "README.md", ROOT / "model_card.md"]:
        assert not re.search(r"(/tmp/|/root/|/home/|/work/|[A-Z]:\\\\)", path.read_text("utf-8")), path


def test_the_readme_says_whether_a_search_found_the_shipped_networks():
    bundle = json.loads((ROOT / "kneeoa_hub" / "pretrained" / "kneeoa-cnn" / "bundle.json").read_text("utf-8"))
    architectures = {member["name"].rpartition("-")[0] for member in bundle["members"]}
    found = all(name.isdigit() or name == "winner" for name in architectures)
    assert ("chosen by hand" in " ".join((ROOT / "README.md").read_text("utf-8").split())) is not found
