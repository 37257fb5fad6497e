"""The published schemas accept what the package writes, and reject anything with a wrong value."""

import argparse
import copy
import json
from pathlib import Path

import numpy as np
import pytest

from kneeoa_hub.cli import main, parser
from kneeoa_hub.imaging.refusal import MESSAGES

from ..support.schemas import DERIVED, SCHEMAS, definitions, derived, read_schema, schema

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "kneeoa_hub" / "pretrained" / "kneeoa-cnn"


@pytest.mark.parametrize("name", ["bundle", "manifest", "evidence"])
def test_the_shipped_bundle_follows_its_schemas(name):
    schema(name).validate(json.loads((SHIPPED / f"{name}.json").read_text("utf-8")))


@pytest.mark.parametrize("name", DERIVED)
def test_a_derived_schema_is_what_the_package_s_types_say(name):
    """Where this fails, `python -m tests.support.schemas` writes the file anew."""
    assert (SCHEMAS / f"{name}.schema.json").read_text("utf-8") == derived(name)


def test_reports_follow_their_schema_graded_and_refused(grader, films):
    graded = grader.grade(films["mild"]).to_dict()
    refused = grader.grade(np.full((300, 300), 90, np.uint8)).to_dict()
    assert graded["knees"]
    assert refused["refused"]
    for report in (graded, refused):
        schema("report").validate(json.loads(json.dumps(report)))


COMMANDS = {
    "grade": ["grade", "--json", "FILM", "missing.png"],
    "pull": ["pull", "--json"],
    "push": ["push", str(SHIPPED), "HUB", "--tag", "v1.0", "--json"],
    "info": ["info", "--json"],
    "verify": ["verify", "--json"],
    "card": ["card", "--json"],
    "list": ["list", "--json"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_what_a_command_prints_with_json_follows_its_schema(command, films, tmp_path, capsys):
    from jsonschema import Draft202012Validator

    words = {"FILM": str(films["mild"]), "HUB": str(tmp_path / "hub")}
    assert main([words.get(word, word) for word in COMMANDS[command]]) == (1 if command == "grade" else 0)
    one = Draft202012Validator({"$ref": f"#/$defs/{command}", "$defs": definitions("commands")})
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(printed) == (2 if command == "grade" else 1)
    for document in printed:
        one.validate(document)
    if command == "grade":
        schema("report").validate(printed[0]["report"])
    if command == "info":
        schema("evidence").validate(printed[0]["evidence"])
        schema("bundle").validate(printed[0]["bundle"])


def test_the_schema_of_a_report_names_every_reason_of_a_refusal():
    refused = read_schema("report")["properties"]["refused"]["anyOf"][1]
    assert set(refused["properties"]["reason"]["enum"]) == set(MESSAGES)


def test_every_command_with_json_has_a_schema():
    (commands,) = (action.choices for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    assert (
        {name for name, sub in commands.items() if "--json" in sub.format_help()}
        == set(COMMANDS)
        == set(definitions("commands"))
    )


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("bundle", ("schema_version",), 2),
        ("bundle", ("decision", "rule"), "vote"),
        ("bundle", ("surplus",), 1),
        ("manifest", ("files", "../model.onnx"), {"sha256": "0" * 64, "size": 1}),
        ("manifest", ("files", "model.onnx"), {"sha256": "short", "size": 1}),
        ("evidence", ("metrics", "oai_test"), {"qwk": 0.8}),
    ],
)
def test_wrong_values_do_not_follow_the_schema(name, path, value):
    from jsonschema import ValidationError

    document = copy.deepcopy(json.loads((SHIPPED / f"{name}.json").read_text("utf-8")))
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    with pytest.raises(ValidationError):
        schema(name).validate(document)
