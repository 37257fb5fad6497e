"""The commands behind the figures measure on films that were not trained on."""

import csv
import zipfile

import numpy as np
import pytest
from PIL import Image

from benchmarks import ablation, adapt_shift, causes, members, other_parts, outside, protocol_ways
from kneeoa_hub.evidence import Estimate
from kneeoa_hub.imaging.frame import Place
from tuning.data.datasets import Knees
from tuning.data.table import read_films


@pytest.fixture(scope="module")
def leaky_set(tmp_path_factory):
    """Pictures of noise, each in two copies that differ a little, whose width alone predicts the grade; all are of one
    brightness.
    """
    from tuning.audit import audit

    folder = tmp_path_factory.mktemp("leaky")
    rng = np.random.default_rng(0)
    with (folder / "films.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "grade", "group"])
        for number in range(120):
            width = 128 + 8 * (number % 5)
            # each gray equally often
            pixels = rng.permutation(np.arange(128 * width) % 256).reshape(128, width).astype(np.uint8)
            for copy in range(2):
                pixels[0, :2] = pixels[0, 1::-1]
                Image.fromarray(pixels).save(folder / f"{number}-{copy}.png")
                writer.writerow([f"{number}-{copy}.png", number % 5, number])
    return audit([f"noise={folder / 'films.csv'}"], folder / "audit")


def test_the_clean_split_keeps_groups_together_and_the_leaky_one_does_not(leaky_set):
    from benchmarks import baselines

    films = read_films(leaky_set)
    groups = np.array([film.group for film in films])
    splits = baselines.splits(films, "noise")
    shared = {name: set(groups[training]) & set(groups[test]) for name, (training, test) in splits.items()}
    assert not shared["clean"]
    assert shared["leaky"]
    assert all(len(test) for _, test in splits.values())


def test_a_shortcut_in_the_header_is_found_and_one_that_is_not_there_is_not(leaky_set, tmp_path, monkeypatch, capsys):
    from benchmarks import baselines

    monkeypatch.setattr("sys.argv", ["baselines", "--data", str(leaky_set), "--out", str(tmp_path)])
    monkeypatch.setattr(
        baselines,
        "BASELINES",
        {name: baselines.BASELINES[name] for name in ("header and size only", "mean brightness only")},
    )
    baselines.main()
    figures = {
        tuple(line.split(" | ")[:3]): line.split(" | ")[4:7]
        for line in capsys.readouterr().out.splitlines()[2:]
        if line
    }
    for split in ("clean", "leaky"):
        assert figures["| header and size only", "noise", split] == ["1.000"] * 3
        kappa, _, balanced = figures["| mean brightness only", "noise", split]
        assert kappa == "0.000"  # all films get one grade
        assert balanced.startswith("0.200 ")


def test_a_part_of_the_clusters_is_drawn_and_the_test_fold_stays(tmp_path):
    with (tmp_path / "films.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "grade", "group", "split"])
        writer.writerows([f"{n}.png", n % 5, n // 2, ("test", "train", "val")[n // 2 % 3]] for n in range(300))
    parts = {}
    for clusters in (20, 0):
        assert adapt_shift.write_part(tmp_path / "films.csv", tmp_path / "part.csv", clusters) == (clusters or 100)
        with (tmp_path / "part.csv").open(newline="", encoding="utf-8") as file:
            parts[clusters] = list(csv.DictReader(file))
    for clusters, rows in parts.items():
        by_split = {
            split: {row["group"] for row in rows if row["split"] == split} for split in ("train", "val", "test")
        }
        assert len(by_split["train"]) == (clusters or 100) * 3 // 4
        assert len(by_split["train"] | by_split["val"]) == (clusters or 100)
        assert by_split["test"] == {str(group) for group in range(0, 150, 3)}


def test_the_variants_of_the_ablation_differ_from_the_first_in_one_thing_each():
    variants = {
        name: (vars(architecture), vars(settings)) for name, (architecture, settings) in ablation.variants(12).items()
    }
    for apart in (ablation.WINNER, ablation.FINE, "hand-made, of the winner's cost"):  # of adjacent grades
        assert variants.pop(apart)[1] == variants["all kept"][1]
    first, *others = variants.values()
    for other in others:
        assert sum(first[part][name] != value for part in (0, 1) for name, value in other[part].items()) == 1


def test_every_choice_of_members_is_measured_and_two_that_err_apart_are_best():
    truth = np.arange(100) % 5
    sure, other = np.full((100, 5), 0.05), np.full((100, 5), 0.05)
    for answers, wrong in ((sure, slice(0, 20)), (other, slice(80, 100))):
        given = truth.copy()
        given[wrong] = (given[wrong] + 1) % 5
        answers[np.arange(100), given] = 0.8
    found = members.choices(truth, np.arange(100), {"one": sure, "other": other, "noise": np.full((100, 5), 0.2)})
    assert len(found) == 7
    assert found[0].members[:2] == ("one", "other")
    alone = [row for row in found if len(row.members) == 1]
    assert all(row.log_loss.value > found[0].log_loss.value for row in alone)
    # of the same films, so that this is surer than two intervals
    assert all(row.log_loss_difference.low > 0 for row in alone)
    assert found[0].log_loss_difference == Estimate(0, 0, 0, 100)
    assert {row.accuracy.value for row in found if row.members in (("one",), ("other",))} == {0.8}
    assert all(
        estimate.low < estimate.value < estimate.high
        for row in alone[:2]
        for estimate in (row.log_loss, row.qwk, row.accuracy)
    )
    assert "| one alone |" in members.table({"made_val": found})


def test_a_film_of_both_knees_is_counted_once_whatever_is_found_in_it():
    left, right, beside = (10, 0, 40, 30), (60, 0, 90, 30), (12, 40, 42, 70)
    found = {(): "refused", (left,): "one knee", (left, right): "each knee once"}
    found |= {(left, beside): "a place twice or more", (left, beside, right): "a place twice or more"}
    assert {boxes: outside.outcome(boxes, 100) for boxes in found} == found
    answers = {name: outside.Answer(one, ()) for name, one in zip("abcde", found.values(), strict=True)}
    row = outside.row("as they are", answers)
    assert outside.table([row]).splitlines()[-1] == "| as they are | 1 | 1 | 1 | 2 | 0 | 0 | 0 |"
    assert set(row.lacking) == {"a", "b", "d", "e"}


def test_a_heatmap_peaks_in_the_joint_space_or_beside_it_or_is_flat():
    heatmap = np.zeros((32, 24), np.float32)
    heatmap[16, 3] = 1
    in_joint = outside.Answer("one knee", (outside.peak(heatmap), outside.peak(np.zeros_like(heatmap))))
    heatmap[4, 12] = 2
    row = outside.row("as they are", {"a": in_joint, "b": outside.Answer("one knee", (outside.peak(heatmap),))})
    assert tuple(row.peaks.values()) == (1, 1, 1)


def test_knees_from_outside_count_by_their_changed_copies_and_by_age():
    def answers(*oa: float) -> np.ndarray:
        return np.array([[1 - one, 0, one, 0, 0] for one in oa])

    knees = [
        protocol_ways.OutsideKnee(film, age, np.zeros((1, 1)), Place(0, 0, 1))
        for film, age in (("a", 30), ("a", 30), ("b", 35), ("c", 60))
    ]
    by_change = {"": answers(0.1, 0.6, 0.2, 0.9), "noise": answers(0.1, 0.4, 0.2, 0.9), "blur": answers(0, 0.7, 0, 0.6)}
    figures = protocol_ways.outside_figures(by_change, knees)
    assert figures == {"knees": 4, "same": 0.875, "age": 0.5, "young": 2, "young_called": 1}


def test_films_of_other_parts_are_counted_by_what_they_show_and_together(grader, films, tmp_path):
    labels = "file,parts,view\na.png,Hand,\nb.png,Knee,frontal\nc.png,Hand+Wrist,\nd.png,,\n"
    with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
        archive.writestr("labels.csv", labels)
        archive.write(next(iter(films.values())), "b.png")
        for name in ("a.png", "c.png"):
            archive.writestr(name, b"no film")
    with zipfile.ZipFile(tmp_path / "films.zip") as archive:
        rows = other_parts.measured(grader, archive)
    assert [(row.kind, row.films, row.graded) for row in rows] == [
        ("Hand", 1, ()),
        ("Hand+Wrist", 1, ()),
        ("Knee, frontal", 1, ("b.png",)),
    ]
    assert other_parts.table(rows).splitlines()[-1] == "| No knee | 0 | 2 |"


def test_films_get_the_texture_or_the_grays_of_others_and_keep_the_rest():
    rng = np.random.default_rng(0)
    coarse, fine = (
        np.array([Image.fromarray(rng.integers(0, 256, (side, side), np.uint8)).resize((64, 64)) for _ in range(3)])
        for side in (8, 32)
    )
    texture = np.mean([causes.amplitudes(film) for film in coarse], axis=0)
    changed = causes.with_texture(fine[0], texture)
    inner = slice(2, 48)  # grays that leave 0 to 255 are cut off, which changes the finest rings
    assert np.abs(np.log(causes.amplitudes(changed) / texture))[inner].mean() < 0.1
    assert np.abs(np.log(causes.amplitudes(fine[0]) / texture))[inner].mean() > 0.5
    assert changed.mean() == pytest.approx(fine[0].mean(), abs=3)

    fine[0, :20] = 0  # as beside a leg: a third of all pixels has one gray
    grays = causes.quantiles([film // 2 for film in coarse])
    darker = causes.with_grays(fine[0], grays)
    assert np.quantile(darker, causes.LEVELS)[90:] == pytest.approx(grays[90:], abs=3)
    assert darker[:20] == pytest.approx(grays[round(255 * 20 / 64 / 2)], abs=3)
    assert (np.diff(darker.ravel()[np.argsort(fine[0].ravel(), kind="stable")]) >= 0).all()


def test_a_treatment_changes_what_the_film_shows_of_a_frame_and_nothing_beyond_it():
    rng = np.random.default_rng(0)
    pixels = rng.integers(60, 200, (3, 64, 64), dtype=np.uint8)
    boxes = np.array([(0, 0, 64, 64), (0, 10, 64, 50), (20, 0, 64, 64)])
    padded = np.zeros_like(pixels)
    for film, whole, (left, top, right, bottom) in zip(padded, pixels, boxes, strict=True):
        film[top:bottom, left:right] = whole[top:bottom, left:right]
    own = Knees(padded, boxes, (), framed=True)
    changed = dict(causes.treated(own, own))
    assert list(changed) == ["as they are", "texture", "grays", "texture, then grays"]
    for knees in changed.values():
        inside = np.concatenate([film.ravel() for film in causes.shown(knees)]).astype(float)
        assert inside.mean() == pytest.approx(130, abs=2)
        assert inside.std() == pytest.approx(pixels.std(), rel=0.05)
        assert int(knees.pixels.sum()) == inside.sum()


def test_grades_by_rank_have_the_readers_proportions_and_the_order_of_the_severity():
    assert causes.in_proportion(np.array([0.3, 0.1, 2.0, 1.0]), np.array([0, 4, 1, 1])).tolist() == [1, 0, 4, 1]
