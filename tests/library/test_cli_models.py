"""The commands about models: list, info, card, verify and push, and the help of each command."""

import json
from dataclasses import replace

import pytest

from kneeoa_hub.cli import main
from kneeoa_hub.manifest import write_manifest

from ..support.bundles import EVIDENCE, make_bundle


def test_the_least_evidence_is_enough_for_info_and_card_and_without_the_export_there_is_no_card(tmp_path, capsys):
    bundle = make_bundle(tmp_path / "bundle")
    for command in ("info", "card"):
        assert main([command, str(bundle)]) == 0
        assert "0.801" in capsys.readouterr().out
    (bundle / "evidence.json").write_text(json.dumps(replace(EVIDENCE, export=None).to_dict()), "utf-8")
    write_manifest(bundle)
    assert main(["card", str(bundle)]) == 1
    assert "evidence.json has no `export`; write the bundle with `python -m tuning export`." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({}, "`metrics` is null; an object is needed"),
        ({"metrics": {}}, "`metrics` has a length of 0; 1 or more is needed"),
        ({"metrics": [1]}, "`metrics` is a list; an object is needed"),
        ({"metrics": {"oai_test": {}}}, "`metrics.oai_test.qwk` is missing"),
        ({"metrics": {"oai_test": {"qwk": None}}}, "`metrics.oai_test.qwk` is null; an object is needed"),
        ({"test_looks": {"value": "1"}}, "`test_looks.value` is '1'; a finite number is needed"),
    ],
)
def test_evidence_that_does_not_follow_its_schema_is_one_line_that_names_the_field(tmp_path, capsys, changed, field):
    bundle = make_bundle(tmp_path / "bundle")
    document = EVIDENCE.to_dict() | (changed or {"metrics": None})
    (bundle / "evidence.json").write_text(json.dumps(document), "utf-8")
    write_manifest(bundle)
    for command in ("info", "card"):
        assert main([command, str(bundle)]) == 1
        errors = capsys.readouterr().err
        assert f"evidence.json: {field}. Pull the bundle again, or export it again." in errors
        assert errors.count("\n") == 1


def test_a_changed_bundle_is_refused_and_the_file_is_named(grader, tmp_path, capsys):
    import shutil

    copy = shutil.copytree(grader.bundle.folder, tmp_path / "bundle")
    assert main(["verify", str(copy)]) == 0
    content = bytearray((copy / "model.onnx").read_bytes())
    content[1000] ^= 1
    (copy / "model.onnx").write_bytes(content)
    assert main(["verify", str(copy)]) == 1
    assert "model.onnx differs" in capsys.readouterr().err


def test_list_info_and_card_describe_the_shipped_bundle(grader, capsys):
    for command in (["list"], ["info"], ["card"]):
        assert main(command) == 0
        assert "kneeoa-cnn" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["grade", "pull", "push", "info", "verify", "card", "list"])
def test_help_of_every_command_shows_an_example_and_its_exit_codes(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    out = capsys.readouterr().out
    assert f"examples:\n  kneeoa {command}" in out
    done = "all films were graded or refused" if command == "grade" else "the command did what was asked"
    assert f"exit code:\n  0    {done}\n  1    " in out


def test_a_dry_run_lists_what_would_be_sent_and_then_that_nothing_would(grader, tmp_path, capsys):
    hub = str(tmp_path / "hub")
    command = ["push", str(grader.bundle.folder), hub, "--tag", "v1.0"]
    assert main([*command, "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = {
        path.relative_to(grader.bundle.folder).as_posix() for path in grader.bundle.folder.rglob("*") if path.is_file()
    }
    assert {line.split()[2] for line in lines[:-1]} == names
    assert lines[-1] == f"would be {hub}@v1.0"
    assert not (tmp_path / "hub").exists()
    main(command)
    capsys.readouterr()
    assert main([*command, "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "would send nothing: it is there already"


def test_evidence_that_is_not_json_is_an_error_in_one_line(tmp_path, capsys):
    bundle = make_bundle(tmp_path / "bundle")
    (bundle / "evidence.json").write_text("none", "utf-8")
    write_manifest(bundle)
    assert main(["info", str(bundle)]) == 1
    assert "evidence.json is not JSON" in capsys.readouterr().err
