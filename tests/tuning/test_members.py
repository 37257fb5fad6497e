"""Members join an ensemble with what they were trained on: a member that saw a held-out knee is refused."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kneeoa_hub.errors import DataError, SettingsError
from kneeoa_hub.manifest import write_manifest
from tuning.data.table import read_films
from tuning.data.table import write_films as write_rows
from tuning.run import steps

pytestmark = pytest.mark.keras

ALONE: dict[str, Any] = {"architectures": ("none",)}


def trained(audited: Path, folder: Path, evaluations: int = 0) -> Path:
    """The folder of a training on an audit with so many test evaluations, without the time that a training takes."""
    from tuning.networks.architecture import build
    from tuning.networks.search_space import NAMED
    from tuning.training.checkpoint import weights_path

    out = steps.begin(folder, "train", str(audited), {})
    build(NAMED["residual"]).save_weights(weights_path(out, "residual-0"))
    entry = {"name": "residual-0", "seed": 0, "epochs": 1, "val_qwk": 0.0, "architecture": asdict(NAMED["residual"])}
    steps.write_json(
        out / "train.json", {"best_json_sha256": "", "members": [entry], "films": 1, "datasets": ["synthetic"]}
    )
    if evaluations:
        steps.write_json(out / "test_looks.json", evaluations)
    return weights_path(out, "residual-0")


def another_audit(audited: Path, folder: Path, change) -> Path:
    """An audit of the same films with other rows; change: from rows to rows."""
    shutil.copytree(audited, folder)
    write_rows(folder / "films.csv", change(read_films(audited)))
    return folder


def test_members_of_a_bundle_make_an_ensemble_by_themselves(audited, grader, tmp_path):
    from tuning.train import train
    from tuning.training.members import load_members, members_of
    from tuning.training.plan import TrainSettings

    address, name = str(grader.bundle.folder), grader.bundle.config.members[-1]["name"]
    out = train(audited, tmp_path / "train", TrainSettings(**ALONE, joined=(address,), members=(name,)))
    (member,) = load_members(out)
    shipped = members_of(grader.bundle)
    assert [one.name for one in shipped] == [one["name"] for one in grader.bundle.config.members]
    original = next(one for one in shipped if one.name == name)
    assert member.architecture == original.architecture
    assert all(
        np.array_equal(a, b) for a, b in zip(member.network.get_weights(), original.network.get_weights(), strict=True)
    )
    record = json.loads((out / "train.json").read_text("utf-8"))
    assert record["looks_before"] == grader.bundle.evidence.test_evaluations >= 1
    assert record["origin"] == f"{name}: of {record['members'][0]['origin']}"
    assert record["films"] == sum(film.split == "train" and film.use == "yes" for film in read_films(audited))


def test_evaluations_on_test_films_go_with_the_weights(audited, tmp_path):
    from tuning.train import train
    from tuning.training.checkpoint import weights_path
    from tuning.training.plan import TrainSettings

    weights = trained(audited, tmp_path / "before", evaluations=3)
    out = train(audited, tmp_path / "after", TrainSettings(**ALONE, joined=(str(weights),)))
    assert json.loads((out / "train.json").read_text("utf-8"))["looks_before"] == 3
    again = train(audited, tmp_path / "later", TrainSettings(**ALONE, joined=(str(weights_path(out, "residual-0")),)))
    assert json.loads((again / "train.json").read_text("utf-8"))["looks_before"] == 3


def test_the_report_of_the_search_that_found_a_member_goes_with_it(audited, grader, tmp_path):
    from tuning.searching.page import copy_pages
    from tuning.train import train
    from tuning.training.checkpoint import weights_path
    from tuning.training.found_by import reports_of
    from tuning.training.plan import TrainSettings

    folder = shutil.copytree(grader.bundle.folder, tmp_path / "bundle")
    (folder / "figures" / "search").mkdir()
    (folder / "figures" / "search" / "search.png").write_bytes(b"of the bundle")
    (folder / "search.md").write_text("# Search\n\n![Choices](figures/search/search.png)\n", "utf-8")
    write_manifest(folder)
    name = grader.bundle.config.members[-1]["name"]
    weights = trained(audited, tmp_path / "before")
    found = weights.parent / "searches" / "one"
    found.mkdir(parents=True)
    (found / "search.png").write_bytes(b"of the training")
    (found / "report.md").write_text("# Search\n\n![Choices](search.png) ![Lost](lost.png)\n", "utf-8")
    joined = TrainSettings(**ALONE, joined=(str(weights), str(folder)), members=("residual-0", name))
    first = train(audited, tmp_path / "first", joined)
    again = (str(weights_path(first, "residual-0")), str(weights_path(first, name)))
    last = train(audited, tmp_path / "last", TrainSettings(**ALONE, joined=again))
    copy_pages(reports_of(last), tmp_path / "new" / "search.md", "figures/search/")
    text = (tmp_path / "new" / "search.md").read_text("utf-8")
    assert text.count("# Search\n") == 2
    pictures = {path.name: path.read_bytes() for path in (tmp_path / "new" / "figures" / "search").iterdir()}
    assert set(pictures.values()) == {b"of the bundle", b"of the training"}
    assert all(f"(figures/search/{picture})" in text for picture in pictures)


def test_a_member_that_saw_a_held_out_knee_in_another_film_is_refused(audited, tmp_path):
    from tuning.train import train
    from tuning.training.members import load_members
    from tuning.training.plan import TrainSettings

    weights = trained(audited, tmp_path / "before")

    def knee_found(films):
        seen = next(n for n, film in enumerate(films) if film.split == "train")
        held_out = next(n for n, film in enumerate(films) if film.split == "test")
        films[seen] = replace(films[seen], leakage_group=films[held_out].leakage_group, use="its knee is also in test")
        return films

    newer = another_audit(audited, tmp_path / "newer", knee_found)
    with pytest.raises(DataError, match=r"was trained on films of 1 knees or patients that .* holds out"):
        train(newer, tmp_path / "after", TrainSettings(**ALONE, joined=(str(weights),)))
    assert not list((tmp_path / "after").glob("member-*"))
    # The other way round nothing leaks: what the newer audit leaves for training is training here too.
    assert load_members(
        train(
            audited,
            tmp_path / "other",
            TrainSettings(**ALONE, joined=(str(trained(newer, tmp_path / "newer-before")),)),
        )
    )


@pytest.mark.parametrize(("folders", "architecture"), [(("one",), "residual"), (("one", "other"), "none")])
def test_two_members_of_one_name_are_refused_before_anything_is_written(audited, tmp_path, folders, architecture):
    from tuning.train import train
    from tuning.training.plan import TrainSettings

    joined = tuple(str(trained(audited, tmp_path / folder)) for folder in folders)
    with pytest.raises(
        SettingsError, match="Two members would be called residual-0; give other --seeds, or join one of them"
    ):
        train(audited, tmp_path / "twice", TrainSettings(architectures=(architecture,), joined=joined))
    assert not (tmp_path / "twice").exists()


def test_the_record_of_what_a_member_saw_goes_with_it_through_another_training(audited, tmp_path):
    """Otherwise a member could reach an audit that holds out its knees through an ensemble trained on other films."""
    from tuning.train import train
    from tuning.training.checkpoint import weights_path
    from tuning.training.plan import TrainSettings

    weights = trained(audited, tmp_path / "before")

    def without(films):
        shown = next(n for n, film in enumerate(films) if film.split == "train")
        films[shown] = replace(films[shown], use="left out")
        return films

    between = another_audit(audited, tmp_path / "between", without)
    through = train(between, tmp_path / "through", TrainSettings(**ALONE, joined=(str(weights),)))

    def held_out(films):
        shown = next(n for n, film in enumerate(films) if film.split == "train")
        films[shown] = replace(films[shown], split="test")
        return films

    newer = another_audit(audited, tmp_path / "newer", held_out)
    for one in (weights, weights_path(through, "residual-0")):
        with pytest.raises(DataError, match=r"that .* holds out"):
            train(newer, tmp_path / "after", TrainSettings(**ALONE, joined=(str(one),)))


def test_a_rejected_member_leaves_nothing_behind(audited, grader, tmp_path):
    """Otherwise its weights would pass for those of a new member with its name."""
    from tuning.train import train
    from tuning.training.checkpoint import weights_path
    from tuning.training.plan import TrainSettings

    weights, name = trained(audited, tmp_path / "before"), grader.bundle.config.members[0]["name"]
    joined = (str(weights), str(grader.bundle.folder))
    out = train(audited, tmp_path / "after", TrainSettings(**ALONE, joined=joined, members=(name,)))
    assert [path.name for path in out.glob("member-*")] == [weights_path(out, name).name]


def test_evaluations_on_test_films_of_all_sources_add_up(audited, tmp_path):
    from tuning.train import train
    from tuning.training.plan import TrainSettings

    first = trained(audited, tmp_path / "first", evaluations=2)
    second = trained(audited, tmp_path / "second", evaluations=3)
    renamed = second.with_name("member-residual-1.weights.h5")
    second.rename(renamed)
    record = json.loads((renamed.parent / "train.json").read_text("utf-8"))
    record["members"][0]["name"] = "residual-1"
    steps.write_json(renamed.parent / "train.json", record)
    out = train(audited, tmp_path / "after", TrainSettings(**ALONE, joined=(str(first), str(renamed))))
    assert json.loads((out / "train.json").read_text("utf-8"))["looks_before"] == 5


def test_an_adapted_member_is_refused_because_its_films_are_not_listed(audited, tmp_path):
    from tuning.train import train
    from tuning.training.plan import TrainSettings

    weights = trained(audited, tmp_path / "before")
    record = json.loads((weights.parent / "train.json").read_text("utf-8"))
    steps.write_json(
        weights.parent / "train.json",
        {name: value for name, value in record.items() if name != "datasets"} | {"base": {"name": "kneeoa-cnn"}},
    )
    with pytest.raises(DataError, match="was adapted from kneeoa-cnn, whose films are not listed"):
        train(audited, tmp_path / "after", TrainSettings(**ALONE, joined=(str(weights),)))


def test_an_unknown_dataset_is_an_error(audited, tmp_path):
    from tuning.train import train
    from tuning.training.plan import TrainSettings

    with pytest.raises(DataError, match="There is no film of oia; choose among synthetic"):
        train(
            audited,
            tmp_path / "after",
            TrainSettings(**ALONE, joined=(str(trained(audited, tmp_path / "before")),), datasets=("oia",)),
        )


def test_a_member_of_unknown_films_is_refused(audited, tmp_path):
    from tuning.train import train
    from tuning.training.plan import TrainSettings

    weights = trained(audited, tmp_path / "before")
    fewer = another_audit(audited, tmp_path / "fewer", lambda films: films[: len(films) // 2])
    with pytest.raises(DataError, match=r"was trained on \d+ films that .* does not hold"):
        train(fewer, tmp_path / "after", TrainSettings(**ALONE, joined=(str(weights),)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "--architecture none trains nothing; give the members"),
        ({"members": ("winner-9",)}, "--members winner-9: no member that joins has this name; choose among residual-0"),
    ],
)
def test_a_wrong_request_is_an_error(audited, tmp_path, settings, message):
    from tuning.train import train
    from tuning.training.plan import TrainSettings

    weights = trained(audited, tmp_path / "before")
    joined = (str(weights),) if settings else ()
    with pytest.raises(SettingsError, match=message):
        train(audited, tmp_path / "after", TrainSettings(**ALONE, joined=joined, **settings))


def test_the_same_films_with_another_use_are_another_audit(audited, tmp_path):
    """Otherwise a teacher that learnt from a knee that is now held out would pass for one of the same films."""
    films = read_films(audited)
    fingerprint = steps.read_json(audited / "audit.json")["fingerprint"]
    assert fingerprint == steps.hash_of(sorted((f.sha256, f.grade, f.split, f.use) for f in films))
    assert fingerprint != steps.hash_of(
        sorted((f.sha256, f.grade, f.split, "yes" if n else "no") for n, f in enumerate(films))
    )
