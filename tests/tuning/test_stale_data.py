"""Stale or mixed data: a step whose input has changed says so, and no film that was trained on is measured."""

import csv
import json
import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tuning.data.datasets
from kneeoa_hub.bundle import InputConfig
from kneeoa_hub.errors import DataError, OutputError
from kneeoa_hub.imaging.phantom import knee_film
from tuning.__main__ import main
from tuning.data.datasets import load_knees
from tuning.data.table import read_films, write_films
from tuning.run import steps
from tuning.run.folder import check_disk_space, only_run

from ..support.search_runs import full_disk, settings_for

pytestmark = pytest.mark.keras

SPLITS = ("train", "train", "train", "val", "test")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films of every grade in every split, listed in a CSV."""
    folder = tmp_path_factory.mktemp("films")
    rows = []
    for number in range(50):
        name = f"{number}.png"
        Image.fromarray(knee_film(number % 5, number).pixels).save(folder / name)
        rows.append((name, number % 5, f"p{number}", SPLITS[number // 5 % 5]))
    write_rows(folder / "site.csv", rows)
    return folder


@pytest.fixture
def films(source: Path, tmp_path: Path) -> Path:
    shutil.copytree(source, tmp_path / "films")
    return tmp_path / "films"


@pytest.fixture(scope="module")
def audited_once(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tuning.audit import audit

    return audit([str(source / "site.csv")], tmp_path_factory.mktemp("audited") / "audit")


@pytest.fixture
def audited(audited_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(audited_once, tmp_path / "audit"))


def write_rows(path: Path, rows: list[tuple[object, ...]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("file", "grade", "group", "split"), *rows])


def rows_of(path: Path) -> list[tuple[object, ...]]:
    with path.open(newline="") as file:
        rows: list[tuple[object, ...]] = [tuple(row) for row in csv.reader(file)]
    return rows[1:]


def change_table(audited: Path, change) -> None:
    write_films(audited / "films.csv", [change(film) for film in read_films(audited)])


def trained(audited: Path, out: Path) -> Path:
    """A training on that audit, without the time that it takes."""
    from tuning.networks.architecture import build
    from tuning.networks.search_space import NAMED
    from tuning.training.checkpoint import weights_path

    steps.begin(out, "train", str(audited), {})
    build(NAMED["residual"]).save_weights(weights_path(out, "residual-0"))
    entry = {"name": "residual-0", "seed": 0, "epochs": 1, "val_qwk": 0.0, "architecture": asdict(NAMED["residual"])}
    seen = sorted(film.sha256 for film in read_films(audited) if film.trains)
    steps.write_json(out / "seen.json", {"residual-0": seen})
    record = {"best_json_sha256": "", "members": [entry], "films": len(seen), "datasets": ["site"]}
    steps.write_json(out / "train.json", record)
    return out


@pytest.mark.parametrize("change", ["grades", "number of films", "films", "splits", "groups"])
def test_an_audit_whose_films_have_changed_is_refused_with_what_changed(films: Path, tmp_path: Path, capsys, change):
    from tuning.audit import audit

    audit([str(films / "site.csv")], tmp_path / "audit")
    rows = rows_of(films / "site.csv")
    name, _, group, split = rows[0]
    if change == "grades":
        rows[0] = (name, 4, group, split)
    elif change == "number of films":
        rows.pop()
    elif change == "splits":
        rows[0] = (name, 0, group, "test")
    elif change == "groups":
        rows[0] = (name, 0, "another", split)
    else:
        Image.fromarray(knee_film(0, 99).pixels).save(films / str(name))
    write_rows(films / "site.csv", rows)
    assert main(["audit", "--data", str(films / "site.csv"), "--out", str(tmp_path / "audit")]) == 1
    error_output = capsys.readouterr().err
    assert "has changed since" in error_output
    assert change in error_output
    assert "new --out" in error_output


def test_an_audit_of_the_same_films_is_accepted_again(films: Path, tmp_path: Path):
    from tuning.audit import audit

    tables = [(audit([str(films / "site.csv")], tmp_path / "audit") / "films.csv").read_bytes() for _ in range(2)]
    assert tables[0] == tables[1]


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("grades", lambda film: replace(film, grade=(film.grade + 1) % 5)),
        ("splits", lambda film: replace(film, split={"train": "test", "test": "train"}.get(film.split, film.split))),
        ("films", lambda film: replace(film, sha256=film.sha256[::-1])),
        ("groups", lambda film: replace(film, group=f"{film.group}x", leakage_group=f"{film.group}x")),
    ],
)
@pytest.mark.parametrize("step", ["train", "evaluate", "export"])
def test_a_step_after_an_audit_that_was_made_anew_is_refused(audited: Path, tmp_path: Path, capsys, part, change, step):
    made = trained(audited, tmp_path / "train")
    change_table(audited, change)
    out = tmp_path / ("train" if step == "train" else "out")
    source = audited if step == "train" else made
    if step == "train":  # resumed
        with pytest.raises(DataError, match=f"has changed since.*{part}"):
            steps.begin(out, "train", str(source), {})
        return
    assert main([step, "--data", str(source), "--out", str(out)]) == 1
    error_output = capsys.readouterr().err
    assert "has changed since" in error_output
    assert part in error_output
    assert not out.exists()


def test_weights_that_were_exchanged_after_their_evaluation_are_not_exported(audited: Path, tmp_path: Path, capsys):
    from tuning.networks.architecture import build
    from tuning.networks.search_space import NAMED
    from tuning.training.checkpoint import weights_path

    made = trained(audited, tmp_path / "train")
    evaluated = steps.begin(tmp_path / "evaluate", "evaluate", str(made), {"test": True})
    network = build(NAMED["residual"])
    network.set_weights([np.zeros_like(one) for one in network.get_weights()])
    network.save_weights(weights_path(made, "residual-0"))
    assert main(["export", "--data", str(evaluated), "--out", str(tmp_path / "bundle")]) == 1
    assert "member-residual-0.weights.h5" in capsys.readouterr().err


def test_a_change_further_back_in_the_chain_is_noticed(audited: Path, tmp_path: Path):
    found = steps.begin(tmp_path / "search", "search", str(audited), {})
    steps.write_json(found / "best.json", {})
    made = steps.begin(tmp_path / "train", "train", str(found), {})
    steps.write_json(made / "train.json", {})
    assert steps.find_input(made, "audit") == audited
    change_table(audited, lambda film: replace(film, grade=(film.grade + 1) % 5))
    shutil.rmtree(found)
    steps.write_json(steps.begin(found, "search", str(audited), {}) / "best.json", {})  # the same winner
    with pytest.raises(DataError, match="the input of that step"):
        steps.find_input(made, "audit")


@pytest.mark.parametrize("shown", ["itself", "in another film of its patient"])
def test_no_film_that_was_trained_on_is_measured(audited: Path, tmp_path: Path, shown: str):
    from tuning.evaluate import evaluate

    made = trained(audited, tmp_path / "train")
    held_out = next(film for film in read_films(audited) if film.split == "test" and film.usable)
    seen = steps.read_json(made / "seen.json")
    if shown == "itself":
        seen["residual-0"].append(held_out.sha256)
    else:
        first = next(film for film in read_films(audited) if film.trains)
        change_table(audited, lambda film: replace(film, leakage_group="one") if film in (first, held_out) else film)
        shutil.rmtree(made)
        trained(audited, made)
        seen = steps.read_json(made / "seen.json")
    steps.write_json(made / "seen.json", seen)
    with pytest.raises(DataError, match=r"1 of \d+ films in the split 'test' were trained on"):
        evaluate(made, tmp_path / "evaluate")


@pytest.mark.parametrize("damage", ["cut", "no array", "another array"])
def test_a_cache_that_is_damaged_is_made_anew(audited: Path, damage: str):
    config = InputConfig(64, 64)
    right = np.array(load_knees(audited, "val", config).pixels)
    (cache,) = (audited / "arrays").glob("*.npy")
    content = cache.read_bytes()
    cache.unlink()  # which `load_knees` has mapped
    if damage == "cut":
        cache.write_bytes(content[:-200])
    elif damage == "no array":
        cache.write_bytes(b"no array")
    else:
        np.save(cache, right)
    assert np.array_equal(load_knees(audited, "val", config).pixels, right)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a device that is always full")
def test_a_cache_that_finds_no_room_is_one_clear_error_and_is_made_when_there_is_room(
    audited: Path, monkeypatch: pytest.MonkeyPatch
):
    config = InputConfig(64, 64)
    with monkeypatch.context() as patch:
        patch.setattr(tuning.data.datasets, "replacing", full_disk)
        with pytest.raises(OutputError, match=r"\.npy can't be written \(.*the same command again"):
            load_knees(audited, "val", config)
    assert list((audited / "arrays").iterdir()) == []
    assert len(load_knees(audited, "val", config)) > 0
    assert len(list((audited / "arrays").iterdir())) == 1


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_a_film_that_was_replaced_since_the_audit_is_named_and_not_trained_on(audited: Path, tmp_path: Path, kind: str):
    film = next(film for film in read_films(audited) if film.split == "val")
    source = tmp_path / "films" if kind == "folder" else tmp_path / "films.zip"
    shutil.copytree(film.source, tmp_path / "films")
    Image.fromarray(knee_film(4, 99).pixels).save(tmp_path / "films" / film.file)
    if kind == "zip":
        shutil.make_archive(str(tmp_path / "films"), "zip", tmp_path / "films")
    change_table(audited, lambda film: replace(film, source=str(source)))
    with pytest.raises(
        DataError, match=rf"{film.file} in .*{source.name} is another film than the one that was audited"
    ):
        load_knees(audited, "val", InputConfig(64, 64))


def test_a_cache_of_other_films_is_replaced(audited: Path):
    config = InputConfig(64, 64)
    knees = load_knees(audited, "val", config)
    first, others = knees.films[0], np.array(knees.pixels[1:])
    change_table(audited, lambda film: replace(film, split="train") if film == first else film)
    assert np.array_equal(load_knees(audited, "val", config).pixels, others)
    assert len(list((audited / "arrays").glob("val-64x64-*"))) == 1


@pytest.mark.parametrize(("column", "value"), [("grade", "7"), ("grade", "-1"), ("split", "holdout"), ("width", "x")])
def test_a_table_with_an_impossible_value_is_one_clear_error(audited: Path, column: str, value: str):
    with (audited / "films.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[0][column] = value
    with (audited / "films.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(DataError, match=r"films\.csv can't be read"):
        read_films(audited)


def test_damaged_weights_and_weights_that_are_not_finite_are_one_clear_error(audited: Path, tmp_path: Path):
    from tuning.networks.architecture import build
    from tuning.networks.search_space import NAMED
    from tuning.training.checkpoint import weights_path
    from tuning.training.members import load_members

    made = trained(audited, tmp_path / "train")
    path = weights_path(made, "residual-0")
    network = build(NAMED["residual"])
    network.set_weights([np.full_like(one, np.nan) for one in network.get_weights()])
    network.save_weights(path)
    with pytest.raises(DataError, match="not numbers"):
        load_members(made)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match="can't be read"):
        load_members(made)


@pytest.mark.parametrize(
    ("split", "said"),
    [("train", r"All \d+ training films have one grade"), ("val", "validation films have one grade, so no kappa")],
)
def test_films_of_one_grade_are_refused_before_a_training(audited: Path, tmp_path: Path, split: str, said: str):
    from tuning.train import TrainSettings, train
    from tuning.training.pack import pack

    change_table(audited, lambda film: replace(film, grade=2) if film.split == split else film)
    with pytest.raises(DataError, match=said):
        train(audited, tmp_path / "train", TrainSettings(epochs=1, architectures=("residual",)))
    with pytest.raises(DataError, match=said):
        pack(audited, tmp_path / "pack" / "films.npz")


def test_training_films_of_one_grade_end_a_search_and_no_trial_counts_as_failed(audited: Path, tmp_path: Path):
    from tuning.search import search

    change_table(audited, lambda film: replace(film, grade=2) if film.split == "train" else film)
    with pytest.raises(DataError, match=r"All \d+ training films have one grade"):
        search(audited, tmp_path / "search", settings_for("random"))
    assert steps.read_json(tmp_path / "search" / "tuner" / "oracle.json")["end_order"] == []


def trial_file(values: dict[str, str], **measures: object) -> str:
    """The trial.json of a finished trial."""
    histories = {
        name: {"direction": "max", "observations": [{"value": [value], "step": 0}]} for name, value in measures.items()
    }
    drawn, metrics = {"values": values}, {"metrics": histories}
    return json.dumps({"trial_id": "0", "status": "COMPLETED", "hyperparameters": drawn, "metrics": metrics})


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("null", "`the document` is null"),
        ("{", "it is not JSON"),
        ('{"status": "COMPLETED"}', "`trial_id` is missing"),
        (trial_file({}, val_qwk=0.5), "it has no val_log_loss"),
        (trial_file({}, val_qwk=0.5, val_log_loss="low"), "`val_log_loss` is 'low'"),
        (trial_file({"tuner/epochs": "3"}, val_qwk=0.5, val_log_loss=1), "`tuner/epochs` is '3'"),
        (trial_file({"block": "foreign"}, val_qwk=0.5, val_log_loss=1), "not know the block 'foreign'. Give the file"),
    ],
)
def test_a_damaged_trial_and_one_of_an_unknown_block_is_one_clear_error(tmp_path: Path, damage: str, named: str):
    from tuning.searching.records import read_trials
    from tuning.searching.settings import SearchSettings

    (tmp_path / "trial_0").mkdir()
    (tmp_path / "trial_0" / "trial.json").write_text(damage)
    with pytest.raises(DataError, match=rf"trial\.json.*{re.escape(named)}"):
        read_trials(tmp_path, SearchSettings())


@pytest.mark.parametrize(
    ("content", "named"), [(b"a,b\n1,2\n", "no column `trial`"), (b"trial\n\xff\n", "can't be read")]
)
def test_a_foreign_table_of_trials_is_one_clear_error(tmp_path: Path, content: bytes, named: str):
    from tuning.training.search_result import architecture_of_trial

    (tmp_path / "trials.csv").write_bytes(content)
    with pytest.raises(DataError, match=rf"trials\.csv.*{named}"):
        architecture_of_trial(tmp_path, "0")


def test_two_runs_in_one_folder_are_refused(tmp_path: Path):
    with only_run(tmp_path), pytest.raises(DataError, match="Another process runs"), only_run(tmp_path):
        pass
    with only_run(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_for_a_checkpoint_ends_a_run_before_it_is_written(tmp_path: Path):
    check_disk_space(tmp_path, 1000)
    with pytest.raises(OutputError, match="make room"):
        check_disk_space(tmp_path, 10**15)
