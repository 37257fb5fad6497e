"""The tables of figures in the docs are those of their evidence, figure by figure and row by row."""

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from benchmarks import (
    ablation,
    adapt_shift,
    archive,
    causes,
    cross_domain,
    curves,
    film_profile,
    graph_forms,
    members,
    other_parts,
    outside,
    reach,
    search_scaling,
    search_workers,
    space,
    special_cases,
    training_step,
)
from benchmarks.measuring import BUNDLE, Machine
from kneeoa_hub.card.text import figure
from kneeoa_hub.evidence import ChangeEvidence, Estimate
from kneeoa_hub.evidence.finding import Grader
from kneeoa_hub.sources import title
from kneeoa_hub.typed_json import from_json

T = TypeVar("T")

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "benchmarks.md").read_text("utf-8")


def evidence(name: str, row: type[T]) -> tuple[T, ...]:
    document = json.loads((DOCS / "evidence" / f"{name}.json").read_text("utf-8"))
    return from_json(tuple[row, ...], document["rows"] if isinstance(document, dict) else document)


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
        ("causes/causes", "causes"),
        ("outside/outside", "outside"),
        ("other-parts/other-parts", "other_parts"),
        ("special-cases/special-cases", "special_cases"),
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
        assert f"| {row['change']} | " + " | ".join(f"{value:z.2f}" for value in figures) + " |" in PAGE


def test_what_a_black_border_changes_is_that_of_its_evidence() -> None:
    collections = read("robustness/robustness")["collections"]
    same = {
        name: row["same"] for name, rows in collections.items() for row in rows if row["change"] == "black border 10%"
    }
    oai, gornale = (f"for {same[name]['value']:.2f} of {same[name]['n']}" for name in ("oai", "gornale"))
    assert f"{oai} OAI films and {gornale} Gornale films" in " ".join(page("decisions").split())


def test_the_table_of_causes_is_that_of_its_evidence() -> None:
    assert causes.table(evidence("causes/causes", causes.Row)) in PAGE


@pytest.mark.parametrize("name", ["outside/outside", "other-parts/other-parts", "special-cases/special-cases"])
def test_figures_of_graded_films_name_the_bundle_that_graded_them(name: str) -> None:
    bundle = from_json(Grader, json.loads((DOCS / "evidence" / f"{name}.json").read_text("utf-8"))["grader"])
    assert bundle.name == "kneeoa-cnn"
    assert len(bundle.revision) == 12


def test_what_is_found_in_films_from_outside_is_that_of_its_evidence() -> None:
    assert outside.table(evidence("outside/outside", outside.Row)) in PAGE


def test_what_the_special_cases_are_worth_is_that_of_their_evidence() -> None:
    assert special_cases.table(evidence("special-cases/special-cases", special_cases.Row)) in PAGE


def test_what_is_graded_of_other_parts_is_that_of_its_evidence() -> None:
    """The page has the rows of knees and of all films without one."""
    rows = rendered(other_parts.table(evidence("other-parts/other-parts", other_parts.Row)))
    assert in_page("films", "graded") == [row for row in rows if row["films"].startswith(("Knee", "No knee"))]


def test_the_rules_for_crops_and_strips_have_the_figures_of_the_bundle() -> None:
    found = json.loads((BUNDLE / "evidence.json").read_text("utf-8"))["finding"]
    crops, strips = (
        f"{one['value']:.3f} of {one['n']}"
        for one in (found["knees_refused"]["oai_val"], found["single_strips_refused"])
    )
    cut, whole = (f"{found[f'rule_{name}_strips']['value']:.3f} of" for name in ("two_knee", "single"))
    text = " ".join(page("decisions").split())
    for sentence in (
        f"{crops} validation crops and {strips} validation strips are refused",
        f"cuts {cut} 152 strips of two knees and leaves {whole} 1,153 strips of one knee whole",
        f"finds {found['rule_composed_within_10']['value']:.3f} of the joints of composed films",
    ):
        assert sentence in text


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


def read(name: str) -> Any:
    return json.loads((DOCS / "evidence" / f"{name}.json").read_text("utf-8"))


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text("utf-8")


def test_the_worth_of_a_search_is_that_of_its_evidence() -> None:
    """The page describes the networks designed by hand in words, and leaves out the longest rung, whose tau is 1."""
    from benchmarks.search_worth import report

    worth = from_json(report.Worth, read("search_worth/worth"))
    searches, rungs = tables(report.table(worth))
    shown = in_page("", "log loss of the best trial")
    assert [list(row.values())[1:] for row in shown] == [list(row.values())[1:] for row in searches]
    shown = in_page("epochs of a rung")
    assert shown == [{column: row[column] for column in shown[0]} for row in rungs[:-1]]
    assert report.verdict(worth.rungs) == "No shorter rung has a tau above 0.6."
    assert report.verdict(worth.rungs) in page("benchmarks")
    names = [curve.name for curve in worth.curves]
    trials = {name: sum(len(one.minutes) - 1 for one in worth.curves if one.name == name) for name in set(names)}
    results = [f"{trials[name] / names.count(name):.0f}" for name in ("random", "bayesian", "hyperband from 3 epochs")]
    folded, baseline = (f"{curve.minutes[0]:.1f}" for curve in worth.curves if len(curve.minutes) == 1)
    said = " ".join(page("benchmarks").split())
    assert results == ["16", "16", "25"]
    assert "about 16 noisy results, of 25 with Hyperband" in said
    assert f"a search had {worth.minutes:.1f} minutes, they had {folded} and {baseline}" in said
    before = from_json(report.Worth, read("search_worth/of-0.13.0"))
    assert report.verdict(before.rungs) == "The cheapest training with a tau above 0.6 has 3 epochs."


def test_the_scaling_of_a_search_is_that_of_its_evidence() -> None:
    runs = from_json(tuple[search_scaling.Run, ...], read("search_scaling/scaling")["simulated"])
    by = {(row["tuner"], row["workers"]): row for row in rendered(search_scaling.table(runs))}
    text = page("search-cluster")
    for workers in ("1", "8", "16", "32", "64", "256"):
        hyperband, random = (by[tuner, workers] for tuner in ("hyperband", "random"))
        cells = [workers, *(hyperband[name] for name in ("times as fast", "machine-hours", "waiting"))]
        assert f"| {' | '.join([*cells, random['times as fast'], random['machine-hours']])} |" in text


def test_the_times_of_two_workers_are_those_of_their_evidence() -> None:
    runs = from_json(tuple[search_workers.Run, ...], read("search_workers/workers")["runs"])
    assert search_workers.table(runs) in page("search-cluster")


def test_the_times_of_a_training_step_are_those_of_their_evidence() -> None:
    assert training_step.table(from_json(tuple[training_step.Way, ...], read("training_step/step")["ways"])) in PAGE


@pytest.mark.parametrize("name", ["members", "of-0.9.0"])
def test_the_tables_of_members_are_made_of_their_figures(name: str) -> None:
    found = from_json(dict[str, tuple[members.Choice, ...]], read(f"members/{name}"))
    assert (DOCS / "evidence" / "members" / f"{name}.md").read_text("utf-8") == members.table(found)


def test_the_table_of_reach_is_that_of_its_evidence() -> None:
    table = reach.report(from_json(tuple[members.Choice, ...], read("reach/reach")))
    assert (DOCS / "evidence" / "reach" / "reach.md").read_text("utf-8") == table
    assert table in PAGE


def test_the_table_of_adapting_is_that_of_its_evidence() -> None:
    assert adapt_shift.table(evidence("adapt/adapt", adapt_shift.Row)) in page("training")


def test_the_page_of_fuzzing_is_that_of_its_evidence() -> None:
    pytest.importorskip("resource", reason="fuzzing limits memory as Windows can't")
    from benchmarks import fuzz_reader

    assert fuzz_reader.page(read("fuzzing")) == page("fuzzing")


def test_what_all_changes_do_is_that_of_their_evidence() -> None:
    columns = {"OAI": ("robustness", "oai"), "Gornale": ("robustness", "gornale")}
    columns |= {f"{version}, OAI": (f"of-{version}", "oai") for version in ("0.10.0", "0.9.0", "0.8.0")}
    shown = in_page("of all changes")
    for column, (name, collection) in columns.items():
        plain, *rows = from_json(tuple[ChangeEvidence, ...], read(f"robustness/{name}")["collections"][collection])
        qwk, same = ([getattr(row, key).value for row in rows] for key in ("qwk", "same"))
        harm = {
            "same grade, worst": (min, same),
            "largest loss of QWK": (max, [plain.qwk.value - one for one in qwk]),
            "largest shift of severity": (max, [abs(row.bias.value) for row in rows]),
            "largest proportion refused": (max, [row.refused.value for row in rows]),
            "smallest coverage of the 90% set": (min, [row.coverage.value for row in rows]),
        }
        expected = {"QWK, mean": f"{np.mean(qwk):.2f}", "same grade, mean": f"{np.mean(same):.2f}"}
        for figure_name, (worst, values) in harm.items():
            expected[figure_name] = f"{worst(values):.2f} ({rows[values.index(worst(values))].change})"
        assert {row["of all changes"]: row[column] for row in shown} == expected


def test_the_table_of_load_is_that_of_its_evidence() -> None:
    measured = read("flask/load")
    for film in ("224-pixel PNG", "2000x2500 16-bit DICOM"):
        one = measured[film]
        p99 = f"{one['p99']:.0f} ms ({one['p99_over_median']:.1f}x)"
        row = [film, f"{one['median']:.0f} ms", p99, f"{one['errors']} of {one['films']}", f"{one['memory']:.0f} MB"]
        assert f"| {' | '.join(row)} |" in page("self-hosting")


def test_the_table_of_letters_is_that_of_its_evidence() -> None:
    one = read("node/markers")
    (shown,) = [rows for rows in tables(page("pacs")) if "letters by eye" in rows[0]]
    assert [list(row.values()) for row in shown] == [
        [f"{one['films']} of both knees", str(one["letters"]), str(one["found"]), str(one["other"])],
        ["the same, mirrored", "0", "", str(one["mirrored"])],
        [f"{one['foreign_films']} marked D or E, in Portuguese", "0", "", str(one["foreign"])],
        [f"{one['strips']} strips without a marker", "0", "", str(one["on_strips"])],
    ]
