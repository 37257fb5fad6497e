"""The card says exactly what bundle and evidence say."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt

from kneeoa_hub.card.reading import body
from kneeoa_hub.card.render import SHIPPED, render
from kneeoa_hub.card.text import figure
from kneeoa_hub.evidence import BaseModel, Estimate, Evidence
from kneeoa_hub.hub.presets import DEFAULT
from kneeoa_hub.report import DISCLAIMER
from kneeoa_hub.sources import title
from kneeoa_hub.typed_json import from_json

ROOT = Path(__file__).parents[2]
FIGURES = "kneeoa_hub/pretrained/kneeoa-cnn/figures/"


def test_the_shipped_card_is_what_bundle_and_evidence_render_to(grader):
    bundle = grader.bundle
    assert (bundle.folder / "README.md").read_text("utf-8") == render(bundle.config, bundle.evidence)
    assert (ROOT / "model_card.md").read_text("utf-8") == render(bundle.config, bundle.evidence, FIGURES)


def test_the_readme_s_figures_are_the_evidence_s(grader):
    text = (ROOT / "README.md").read_text("utf-8")
    for name in ("oai_test", "gornale_test"):
        row = grader.bundle.evidence.metrics[name]
        cells = [title(name), str(row.qwk.n), *map(figure, (row.qwk, row.accuracy, row.mae, row.auc_oa))]
        assert f"| {' | '.join(cells)} |" in text


def test_the_versions_figures_are_their_evidence_s(grader):
    text = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    versions = json.loads((ROOT / "docs" / "evidence" / "versions" / "versions.json").read_text("utf-8"))
    for version, sets in versions.items():
        aimed = [sets["oai_test"][key] for key in ("qwk", "accuracy", "balanced_accuracy", "mae", "auc_oa")]
        shown = [*aimed, sets["gornale_test"]["qwk"], sets["oai_val"]["qwk"]]
        cells = [version, *(figure(Estimate(**one)) for one in shown)]
        assert f"| {' | '.join(cells)} |" in text
    shipped = grader.bundle.evidence.to_dict()["metrics"]
    assert all(
        shipped[name][key] == number
        for name, row in versions[grader.bundle.config.version].items()
        for key, number in row.items()
    )


def test_every_earlier_test_evaluation_is_counted(grader):
    folder = ROOT / "docs" / "evidence" / "versions"
    versions = json.loads((folder / "versions.json").read_text("utf-8"))
    earlier = [sets["oai_test"] for version, sets in versions.items() if version != grader.bundle.config.version]
    # a version without a new test evaluation has the figures of the one before
    looked = len({json.dumps(figures) for figures in earlier})
    # what was evaluated without being published: networks, and a version by another reading protocol
    unpublished = len([*folder.glob("*.json"), *(folder.parent / "protocols").glob("*.json")]) - 1
    assert grader.bundle.evidence.test_looks.value == 1
    assert grader.bundle.evidence.test_evaluations - 1 == looked + unpublished
    card = (ROOT / "model_card.md").read_text("utf-8")
    assert f"Before it, they were evaluated {looked + unpublished} times for earlier versions" in card


def test_the_level_holds_for_each_grade_only_where_each_has_a_threshold(grader):
    config, evidence = grader.bundle.config, grader.bundle.evidence
    assert "the level of 90% should hold for each grade too:" in render(config, evidence)
    one = replace(config, conformal=replace(config.conformal, by_grade=()))
    assert "The level of 90% holds over all knees together, not for each grade:" in render(one, evidence)
    sets = config.conformal
    few = replace(sets, by_grade=((sets.level, (*sets.thresholds[:3], sets.threshold, sets.threshold)),))
    card = render(replace(config, conformal=few), evidence)
    assert "Each grade but KL 3 and KL 4 has a threshold of its own" in card
    assert "For KL 3 and KL 4 the threshold of all knees together serves, and the level need not hold:" in card
    equal = replace(config, conformal=replace(sets, threshold=0, by_grade=((sets.level, (0,) * 5),)))
    for films, said in ((9, "Each grade has a threshold"), (8, "Each grade but KL 4 has a threshold")):
        calibration = replace(evidence.calibration, films=(300, 200, 100, 50, films))
        assert said in render(equal, replace(evidence, calibration=calibration))


def test_figures_of_the_whole_grader_name_the_bundle_and_those_of_the_gate_are_its_own(grader):
    config, evidence = grader.bundle.config, grader.bundle.evidence
    gate = replace(evidence.refusal.gate, headline=replace(evidence.refusal.gate.headline, value=0.5))
    card = render(config, replace(evidence, refusal=replace(evidence.refusal, gate=gate)))
    measured = f"The whole grader (kneeoa-cnn, revision `{evidence.finding.grader.revision}`)"
    assert "the gate alone refuses or corrects 50.0%" in card
    assert f"{measured} refuses or corrects {evidence.finding.made_headline.value:.1%}" in card
    assert f"{measured} also examines parts of a film" in card


def test_the_card_says_whether_the_evaluation_is_older_than_the_present_borders(grader):
    config, evidence = grader.bundle.config, grader.bundle.evidence
    older = "This bundle was evaluated and calibrated with a release up to 0.14.0."
    assert older in render(config, evidence)
    assert older not in render(config, replace(evidence, versions=evidence.versions | {"kneeoa-hub": "0.15.0"}))


def test_the_calibration_names_the_films_that_it_was_fitted_on(grader):
    config, evidence = grader.bundle.config, grader.bundle.evidence
    assert "Both were chosen on the validation films of OAI.\n" in render(config, evidence)
    mixed = render(replace(config, protocol=""), evidence)
    assert "Both were chosen on the validation films of all collections together.\n" in mixed


def test_a_changed_figure_changes_the_card(grader):
    document = grader.bundle.evidence.to_dict()
    document["metrics"]["oai_val"]["qwk"]["value"] = 0.123456
    changed = render(grader.bundle.config, from_json(Evidence, document))
    assert "0.123" in changed
    assert changed != render(grader.bundle.config, grader.bundle.evidence)


def test_the_card_begins_with_what_a_reader_decides_on(grader):
    card = (grader.bundle.folder / "README.md").read_text("utf-8").split("---\n", 2)[2]
    headings = re.findall(r"^## (.*)$", card, re.MULTILINE)
    assert headings[:3] == ["What it is for", "How well it grades", "Where it fails"]
    first, _, rest = card.partition("## Use\n")
    assert first.count("\n") < 40
    assert DISCLAIMER in first
    for name in ("oai_test", "gornale_test"):
        row = grader.bundle.evidence.metrics[name]
        cells = (title(name), row.qwk.n, *map(figure, (row.qwk, row.accuracy, row.auc_oa, row.sensitivity_oa)))
        assert f"| {' | '.join(map(str, cells))} |" in first
    assert "about one in five (OAI, test half) get a grade below 2." in first
    assert "is at KL 1 (0.34; Gornale, test fold) and KL 1 (0.37; OAI, test half)." in first
    assert "## All results" in rest


def test_a_card_without_test_films_says_at_once_that_its_measures_are_optimistic(grader):
    evidence = grader.bundle.evidence
    card = render(grader.bundle.config, replace(evidence, metrics={"oai_val": evidence.metrics["oai_val"]}))
    first = card.partition("## Where it fails")[0]
    assert f"| OAI, validation | {evidence.metrics['oai_val'].qwk.n} |" in first
    assert "These are validation films, on which the calibration was fitted: the measures are optimistic." in first
    assert "optimistic" not in render(grader.bundle.config, evidence).partition("## Where it fails")[0]


def test_the_metadata_is_what_the_hub_reads(grader):
    metadata = front_matter((grader.bundle.folder / "README.md").read_text("utf-8"))
    assert (metadata["library_name"], metadata["pipeline_tag"], metadata["license"]) == (
        "keras",
        "image-classification",
        "cc-by-4.0",
    )
    results = metadata["model-index"][0]["results"]
    assert [metric["type"] for metric in results[0]["metrics"]] == ["cohen_kappa", "accuracy"]
    assert metadata["datasets"] == ["gornale", "oai"]


def front_matter(card: str) -> dict:
    return yaml.safe_load(card.split("---\n")[1])


@pytest.mark.parametrize(
    "dataset",
    [
        *("ward #3", "st mary: left", "x}y", "no", "null", "~", "[a]", "---"),
        *("1e3", "-1.5", "0x1F", "0o17", "12:30", "2024-01-31"),
        *("a|b", "*bold*", "<b>", "`code`", "under_score", "Klinik M\u00fcnchen", "it's", 'a "b"'),
    ],
)
def test_a_dataset_of_any_name_is_itself_in_metadata_and_tables(grader, dataset):
    row = grader.bundle.evidence.metrics["oai_test"]
    evidence = replace(
        grader.bundle.evidence,
        metrics={f"{dataset}_val": row, f"{dataset}_test": row},
        by_grade=dict.fromkeys((f"{dataset}_val", f"{dataset}_test"), grader.bundle.evidence.by_grade["oai_test"]),
        data=replace(grader.bundle.evidence.data, splits={dataset: {"test": (1, 2, 3, 4, 5)}}),
    )
    card = render(replace(grader.bundle.config, name="ours"), evidence)
    metadata = front_matter(card)
    assert metadata["datasets"] == [dataset]
    (result,) = metadata["model-index"][0]["results"]
    assert result["dataset"] == {"name": f"{dataset}, test", "type": dataset, "split": "test"}
    (plain, *_) = re.findall(r"^- (.*)$", card.partition("datasets:\n")[2], re.MULTILINE)
    # A reader of YAML 1.2 takes every plain scalar that begins like a number for one.
    assert not re.match(r"[-+.]?[0-9]", plain)
    tokens = MarkdownIt("commonmark").enable("table").parse(body(card))
    cells = ["".join(part.content for part in token.children or ()) for token in tokens if token.type == "inline"]
    assert cells.count(f"{dataset}, test") >= 5
    assert dataset in cells


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("hf://lab/knees@v1", "lab/knees"),
        ("lab/knees", "lab/knees"),
        ("kneeoa-cnn", None),
        ("./our/bundle", None),
        ("/srv/bundle", None),
    ],
)
def test_the_card_of_an_adapted_bundle_names_a_base_that_the_hub_has(grader, address, expected):
    base = BaseModel(name="kneeoa-cnn", address=address, revision="0" * 12, recalibrated_only=True)
    evidence = replace(grader.bundle.evidence, base=base, before=grader.bundle.evidence.metrics)
    card = render(replace(grader.bundle.config, name="ours"), evidence)
    assert front_matter(card).get("base_model") == expected
    assert f"it has the weights of kneeoa-cnn ({address}, revision `{'0' * 12}`)" in card


def test_the_pictures_of_the_card_exist(grader):
    card = (grader.bundle.folder / "README.md").read_text("utf-8")
    links = re.findall(r"!\[[^]]*\]\(([^)]+)\)", card)
    assert links
    assert all((grader.bundle.folder / link).is_file() for link in links)


def test_the_card_of_another_bundle_does_not_lead_to_the_shipped_one(grader):
    assert SHIPPED == DEFAULT
    card = render(replace(grader.bundle.config, name="ours"), grader.bundle.evidence)
    assert 'from_pretrained("ORG/NAME")' in card
    assert "from_pretrained()" not in card
    assert "make weights" not in card


def test_the_usage_snippet_runs(grader, films, tmp_path, monkeypatch, capsys):
    card = (grader.bundle.folder / "README.md").read_text("utf-8")
    snippet = next(code for code in re.findall(r"```python\n(.*?)```", card, re.DOTALL) if "from_pretrained" in code)
    (tmp_path / "knee.png").write_bytes(films["moderate"].read_bytes())
    monkeypatch.chdir(tmp_path)
    exec(snippet, {})
    assert "Kellgren-Lawrence grade" in capsys.readouterr().out
