"""The tables of figures in the docs are those of their evidence, figure by figure and row by row."""

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TypeVar

import pytest

from benchmarks import ablation, archive, cross_domain, curves, film_profile, graph_forms, space
from benchmarks.measuring import Machine
from kneeoa_hub.card.sources import title
from kneeoa_hub.card.text import figure
from kneeoa_hub.evidence import Estimate
from kneeoa_hub.typed_json import from_json

T = TypeVar("T")

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "benchmarks.md").read_text("utf-8")


def evidence(name: str, row: type[T]) -> tuple[T, ...]:
    return from_json(tuple[row, ...], json.loads((DOCS / "evidence" / f"{name}.json").read_text("utf-8")))


def tables(text: str) -> Iterator[list[dict[str, str]]]:
    """The rows of each Markdown table, by its columns."""
    for block in text.split("\n\n"):
        lines = [
            [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]
            for line in block.split("\n")
            if line[:1] == "|"
        ]
        if len(lines) > 2:
            yield [dict(zip(lines[0], cells, strict=True)) for cells in lines[2:]]


def in_page(*columns: str) -> list[dict[str, str]]:
    """The only table of the page that begins with these columns."""
    (found,) = [rows for rows in tables(PAGE) if tuple(rows[0])[: len(columns)] == columns]
    return found


def rendered(table: str) -> list[dict[str, str]]:
    (rows,) = tables(table)
    return rows


def in_order(rows: list[dict[str, str]]) -> list[list[tuple[str, str]]]:
    return sorted(sorted(row.items()) for row in rows)


def test_the_baselines_are_those_of_their_evidence():
    from benchmarks import baselines

    rows = evidence("baselines/baselines", baselines.Row) + evidence("baselines/baseline-2023", baselines.Row)
    assert in_order(in_page("baseline", "dataset", "split")) == in_order(rendered(baselines.table(rows)))


def test_the_ablation_is_that_of_its_evidence():
    shown, rows = in_page("variant", "films"), evidence("ablation/ablation", ablation.Row)
    times = all(row.time_ratio for row in rows)
    of_rows = rendered(ablation.table(rows))
    expected = [
        {column: cell for column, cell in row.items() if times or column != "time against it"} for row in of_rows
    ]
    assert in_order(shown) == in_order(expected)


def test_the_cross_domain_figures_are_those_of_their_evidence():
    assert in_page("trained on", "measured on") == rendered(
        cross_domain.table(evidence("cross-domain/cross-domain", cross_domain.Row))
    )


@pytest.mark.parametrize(
    ("name", "benchmark"),
    [
        ("baselines/baselines", "baselines"),
        ("baselines/baseline-2023", "baselines"),
        ("cross-domain/cross-domain", "cross_domain"),
        ("adapt/adapt", "adapt_shift"),
    ],
)
def test_a_table_beside_its_figures_is_made_of_them(name, benchmark):
    module = import_module(f"benchmarks.{benchmark}")
    table = module.table(evidence(name, module.Row))
    assert (DOCS / "evidence" / f"{name}.md").read_text("utf-8") == table


@pytest.mark.parametrize("name", ["curves/curves", "archive/archive", "profile/profile", "profile/graph_forms"])
def test_a_measured_table_is_made_of_its_figures(name):
    document = json.loads((DOCS / "evidence" / f"{name}.json").read_text("utf-8"))
    where = from_json(Machine, document["machine"])
    if name == "curves/curves":
        table = curves.table(from_json(tuple[curves.Curve, ...], document["curves"]), where)
    elif name == "archive/archive":
        rows = from_json(tuple[archive.Projected, ...], document["projected"])
        measured = from_json(archive.Measured, document["seconds"])
        table = archive.table(measured, rows, where, document["dollars_a_core_hour"])
        assert archive.project(measured, document["dollars_a_core_hour"]) == list(rows)
    elif name == "profile/profile":
        table = film_profile.table(from_json(tuple[film_profile.Profile, ...], document["profiles"]), where)
    else:
        table = graph_forms.table(from_json(tuple[graph_forms.Form, ...], document["forms"]), where)
    assert (DOCS / "evidence" / f"{name}.md").read_text("utf-8") == table


def test_the_page_of_the_space_has_the_figures_of_its_evidence():
    document = json.loads((DOCS / "evidence" / "space" / "space.json").read_text("utf-8"))
    films = from_json(tuple[space.OneFilm, ...], document["films"])
    crowds = from_json(tuple[space.Crowd, ...], document["crowds"])
    table = space.table(films, document["peak_mb"], crowds, from_json(Machine, document["machine"]))
    assert (DOCS / "evidence" / "space" / "space.md").read_text("utf-8") == table
    assert table in (DOCS / "space.md").read_text("utf-8")


def test_the_times_of_the_parts_are_those_of_the_profile():
    document = json.loads((DOCS / "evidence" / "profile" / "profile.json").read_text("utf-8"))
    networks = next(iter(film_profile.PARTS))
    parts = [(one["parts"][networks], one["total"]) for one in document["profiles"]]
    now, before, now_large, before_large = parts
    order = (before, now, before_large, now_large)
    for name, values in (
        ("the networks", [networks for networks, _ in order]),
        ("everything beside them", [total - networks for networks, total in order]),
    ):
        assert f"| {name} | {' | '.join(f'{one:.1f}' for one in values)} |" in PAGE


def test_the_figures_of_the_five_networks_are_those_of_their_evidence():
    metrics = json.loads((DOCS / "evidence" / "versions" / "five-networks.json").read_text("utf-8"))["metrics"]
    (row,) = [line for line in PAGE.splitlines() if line.startswith("| the five as a version")]
    validation, test = metrics["oai_val"], metrics["oai_test"]
    spread = {
        name: f"{short(test[name]['value'])} ({short(test[name]['low'])}-{short(test[name]['high'])})"
        for name in ("qwk", "accuracy", "auc_oa")
    }
    expected = (
        f"QWK {short(validation['qwk']['value'])}, accuracy {short(validation['accuracy']['value'])} on validation",
        (
            f"QWK {spread['qwk']}, accuracy {spread['accuracy']},"
            f" balanced {short(test['balanced_accuracy']['value'])}, MAE {short(test['mae']['value'])},"
            f" AUC {spread['auc_oa']}, ECE {short(test['ece']['value'])};"
            f" Gornale test fold: QWK {short(metrics['gornale_test']['qwk']['value'])}"
        ),
    )
    assert all(part in row for part in expected), expected


def short(value: float) -> str:
    """A figure as the prose of the page writes it."""
    return f"{value:.3f}"


def test_the_table_of_framing_is_that_of_its_evidence() -> None:
    record = json.loads((DOCS / "evidence" / "robustness" / "robustness.json").read_text("utf-8"))
    for row in record["collections"]["oai"]:
        figures = (row[name]["value"] for name in ("qwk", "accuracy", "auc_oa", "same", "bias", "refused"))
        assert f"| {row['change']} | " + " | ".join(f"{value:.2f}" for value in figures) + " |" in PAGE


def test_the_table_of_protocols_is_that_of_its_evidence() -> None:
    """Each collection's test films by either protocol."""
    other = json.loads((DOCS / "evidence" / "protocols" / "gornale.json").read_text("utf-8"))
    published = json.loads((DOCS / "evidence" / "versions" / "versions.json").read_text("utf-8"))["0.9.0"]
    for protocol, metrics in (("Gornale", other), ("OAI", published)):
        for name in ("oai_test", "gornale_test"):
            row = [title(name), protocol]
            row += [figure(Estimate(**metrics[name][key])) for key in ("qwk", "accuracy", "auc_oa")]
            assert f"| {' | '.join(row)} |" in PAGE


def test_the_figures_of_speed_are_those_of_their_evidence():
    from benchmarks.speed import __main__ as speed

    assert speed.pasted(PAGE, speed.table(speed.EVIDENCE)) == PAGE
    start = speed.read(speed.EVIDENCE)["start"][1][0]
    assert f"[{speed.number(start.value)} {start.unit}](docs/benchmarks.md" in (DOCS.parent / "README.md").read_text(
        "utf-8"
    )
