"""The audit reports the faults of a collection (shared pictures, shortcuts to the grade, contradicting labels) and
finds the known faults of real sets.
"""

import csv
import json
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.gornale_protocol import write_protocol
from kneeoa_hub.bundle import InputConfig
from kneeoa_hub.errors import DataError
from kneeoa_hub.imaging.letterbox import letterbox
from kneeoa_hub.imaging.phantom import knee_film, two_knee_film
from tuning.data.datasets import load_knees, usable_films
from tuning.data.table import ONE_JOINT, SEVERAL_KNEES, read_films

from ..support.bundles import make_bundle
from ..support.locators import graph_that_finds, with_locator

NAMES = ("0Normal", "1Doubtful", "2Mild", "3Moderate", "4Severe")


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def experts(tmp_path_factory) -> dict:
    """The audit.json of two experts' folders that hold the same 50 films; the second expert gives five of them another
    grade.
    """
    from tuning.audit import audit

    root = tmp_path_factory.mktemp("experts")
    for grade in range(5):
        for number in range(10):
            pixels = knee_film(grade, 10 * grade + number).pixels
            other = min(4, grade + 1) if number == 0 else grade
            write(root / "films" / "MedicalExpert-I" / NAMES[grade] / f"G{grade} ({number}).png", pixels)
            write(root / "films" / "MedicalExpert-II" / NAMES[other] / f"G{grade} ({number}).png", pixels)
    return json.loads((audit([str(root / "films")], root / "audit") / "audit.json").read_text("utf-8"))


def test_two_experts_folders_with_the_same_films_are_reported(experts):
    (row,) = experts["overlaps"]["folders"]
    assert (row["first"], row["second"]) == ("films/MedicalExpert-I", "films/MedicalExpert-II")
    assert (row["films"], row["same_pixels"]) == (50, 50)
    assert row["equal_grades"] == 0.92  # of the five, the most severe one can't be graded higher
    assert 0.9 < row["qwk"] < 1
    assert experts["same_picture_other_grade"] == 4
    assert experts["overlaps"]["given_splits"] == []


def test_a_patient_in_two_given_splits_is_reported_and_left_out_of_one(tmp_path):
    from tuning.audit import audit

    for grade in range(5):
        for number in range(4):
            patient = 9000000 + 10 * grade + number
            for side in "LR":
                split = "train" if side == "L" or number else "test"  # the first patient of each grade is in both
                write(
                    tmp_path / "films" / split / str(grade) / f"{patient}{side}.png",
                    knee_film(grade, 2 * patient + (side == "R")).pixels,
                )
    out = audit([f"oai={tmp_path / 'films'}"], tmp_path / "audit")
    (row,) = json.loads((out / "audit.json").read_text("utf-8"))["overlaps"]["given_splits"]
    assert (row["first"], row["second"], row["films"], row["same_pixels"], row["same_group"]) == (
        "oai: test",
        "oai: train",
        5,
        0,
        5,
    )
    assert Counter(film.use for film in read_films(out))["the same patient or knee is also in test"] == 5


def test_a_knee_that_another_film_shows_shifted_is_in_one_leakage_group_and_one_split(tmp_path):
    from tuning.audit import audit

    for grade in range(5):
        for number in range(6):
            write(
                tmp_path / "films" / "train" / str(grade) / f"{grade}{number}.png",
                knee_film(grade, 10 * grade + number).pixels,
            )
    whole = knee_film(2, 23).pixels
    part = whole[8:, : whole.shape[1] - 12]
    brighter = (255 * (part / 255) ** 0.8).astype(np.uint8)
    write(tmp_path / "films" / "test" / "2" / "shifted.png", np.pad(brighter[:, ::-1], ((0, 8), (0, 12)), mode="edge"))
    out = audit([f"site={tmp_path / 'films'}"], tmp_path / "audit")
    films = {Path(film.file).name: film for film in read_films(out)}
    assert films["23.png"].group != films["shifted.png"].group
    assert {name for name, film in films.items() if film.leakage_group == films["shifted.png"].leakage_group} == {
        "23.png",
        "shifted.png",
    }
    assert films["23.png"].use == "the same patient or knee is also in test"
    summary = json.loads((out / "audit.json").read_text("utf-8"))
    assert (summary["shifted_pairs"], summary["left_out"]) == (1, {"the same patient or knee is also in test": 1})


@pytest.fixture(scope="module")
def both_legs(tmp_path_factory) -> Path:
    """A CSV with a row for each knee of six films, the last one wide, one for a film of two knees without a side, and
    one for a strip.
    """
    root = tmp_path_factory.mktemp("both")
    rows = [f"{grade}.png,{(grade + left) % 5},{'RL'[left]},train" for grade in range(5) for left in (0, 1)]
    for number in range(6):
        write(
            root / f"{number}.png", two_knee_film((number % 5, (number + 1) % 5), number, height=300, width=400).pixels
        )
    write(root / "strip.png", knee_film(1, 9, height=448, width=448).pixels[120:320])
    write(root / "wide.png", two_knee_film((1, 3), 6).pixels)
    rows += ["wide.png,1,R,val", "wide.png,3,L,val", "5.png,0,,val", "strip.png,1,,val", ""]
    (root / "films.csv").write_text("\n".join(["file,grade,side,split", *rows]))
    return root / "films.csv"


def test_a_film_of_two_knees_is_framed_at_the_knee_that_its_row_names(both_legs, tmp_path):
    from benchmarks.robustness import films_of
    from tuning.audit import audit

    found = graph_that_finds([(4, 2, 0.4), (4, 5, 0.4)])
    bundle = with_locator(make_bundle(tmp_path / "plain"), tmp_path / "bundle", found)
    out = audit([f"site={both_legs}"], tmp_path / "audit", locator=str(bundle))
    films = read_films(out)
    assert [film.use for film in films] == ["yes"] * 12 + [SEVERAL_KNEES] * 2
    joints = [film.joint for film in films if film.joint]
    assert len({film.file for film in films if film.joint}) == 6
    assert all(right.x < 200 < left.x for right, left in zip(joints[::2], joints[1::2], strict=True))
    assert [film.knees for film in films] == [1] * 10 + [2] * 2 + [1] * 2  # the rule's number, whatever is found
    # A network that sees no frame is shown the joint's box. What takes a film as a whole takes none of two knees.
    right, left = load_knees(out, "val", InputConfig(64, 64)).pixels
    assert not np.array_equal(right, left)
    with pytest.raises(DataError, match="no film of a single knee"):
        usable_films(out, "val")
    assert films_of(out, "site", 0) == []


def test_rows_of_both_sides_are_left_out_where_one_joint_is_found_for_them(both_legs, tmp_path):
    from tuning.audit import audit

    found = graph_that_finds([(4, 2, 0.4)])
    bundle = with_locator(make_bundle(tmp_path / "plain"), tmp_path / "bundle", found)
    films = read_films(audit([f"site={both_legs}"], tmp_path / "audit", locator=str(bundle)))
    assert [film.use for film in films] == [ONE_JOINT] * 10 + [SEVERAL_KNEES] * 2 + ["yes"] * 2


def test_a_film_on_which_the_locator_finds_nothing_is_left_out_unless_it_is_a_strip(both_legs, tmp_path):
    from tuning.audit import audit

    bundle = with_locator(make_bundle(tmp_path / "plain"), tmp_path / "bundle", graph_that_finds([]))
    out = audit([f"site={both_legs}"], tmp_path / "audit", locator=str(bundle))
    left_out = ["no joint found"] * 10 + [SEVERAL_KNEES] * 2 + ["no joint found"]
    assert [film.use for film in read_films(out)] == [*left_out, "yes"]
    report = (out / "report.md").read_text("utf-8")
    assert "- left out, no joint found: 11\n" in report
    assert "in the middle of a strip: 1 films of site\n" in report


@pytest.mark.parametrize("frame", [8, 16, 32])
def test_a_frame_that_all_films_have_joins_no_films(frame):
    from tuning.data.duplicates import detail, shifted_pairs

    films = [np.pad(knee_film(number % 5, number).pixels.astype(np.float32), frame) for number in range(20)]
    for film in films:
        film[4:12, 4:12] = 65535  # a marker far brighter than bone
    assert shifted_pairs(np.stack([detail(film) for film in films])) == []


def test_one_film_and_black_films_are_no_copies_of_each_other():
    from tuning.data.duplicates import detail, shifted_pairs

    black = detail(np.zeros((200, 300), np.float32))
    assert not black.any()
    assert shifted_pairs(np.stack([black])) == shifted_pairs(np.stack([black] * 3)) == []


def test_the_same_pixels_under_two_grades_are_not_trained_on(tmp_path):
    from tuning.audit import audit

    for grade in range(5):
        for number in range(4):
            write(
                tmp_path / "films" / "train" / str(grade) / f"{number}.png",
                knee_film(grade, 10 * grade + number).pixels,
            )
    write(tmp_path / "films" / "train" / "3" / "again.png", knee_film(1, 10).pixels)
    out = audit([f"site={tmp_path / 'films'}"], tmp_path / "audit")
    assert {film.file for film in read_films(out) if film.use == "the same picture has another grade"} == {
        "train/1/0.png",
        "train/3/again.png",
    }


def test_a_size_that_follows_the_grade_is_a_shortcut_and_an_equal_brightness_is_not(tmp_path):
    from tuning.audit import audit

    for grade in range(5):
        for number in range(30):  # the trees see 24 of them at a time, and a leaf has at least 20
            film = knee_film(grade, 100 * grade + number, height=128, width=128 + 8 * grade).pixels
            flat = np.empty_like(film.ravel())
            # every gray equally often
            flat[np.argsort(film.ravel(), kind="stable")] = np.arange(film.size) * 256 // film.size
            write(tmp_path / "films" / str(grade) / f"{number}.png", flat.reshape(film.shape))
    out = audit([f"site={tmp_path / 'films'}"], tmp_path / "audit")
    shortcuts = json.loads((out / "audit.json").read_text("utf-8"))["shortcuts"]["site"]
    assert shortcuts["file header and size"]["qwk"] == {"value": 1, "low": 1, "high": 1, "n": 150}
    assert shortcuts["mean brightness"]["qwk"] == {"value": 0, "low": 0, "high": 0, "n": 150}
    assert shortcuts["mean brightness"]["balanced_accuracy"]["value"] == pytest.approx(0.2)
    assert "| site | file header and size |" in (out / "report.md").read_text("utf-8")


def blurred(noise: np.ndarray, grade: int) -> np.ndarray:
    """Blur noise of 64x64 as many times as its grade says."""
    for _ in range(grade):
        noise = (noise + np.roll(noise, 1, 0) + np.roll(noise, 1, 1)) / 3
    return noise


def framed(noise: np.ndarray, grade: int) -> np.ndarray:
    """Put a border about noise, as bright as its grade says."""
    noise = noise.copy()
    noise[:6], noise[-6:], noise[:, :6], noise[:, -6:] = (0.25 * grade,) * 4
    return noise


def with_joint(noise: np.ndarray, grade: int) -> np.ndarray:
    """Put a band across the middle of noise, as bright as its grade says."""
    noise = noise.copy()
    noise[28:36] = 0.25 * grade
    return noise


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (blurred, {"power spectrum"}),
        (framed, {"border of the film", "film without its joint"}),
        (with_joint, set()),
    ],
    ids=lambda case: case.__name__ if callable(case) else "",
)
def test_a_probe_sees_texture_or_border_and_never_the_joint(change, seen) -> None:
    from tuning.data import shortcuts

    rng, grades = np.random.default_rng(0), np.arange(150) % 5
    films = [shortcuts.probes(b"", change(rng.random((64, 64)), int(grade))) for grade in grades]
    groups, kappas = np.arange(150).astype(str), {}
    places = {"power spectrum", "border of the film", "film without its joint"}
    for number, name in enumerate(shortcuts.PROBES):
        if name in places or name == "file header and size":
            score = shortcuts.shortcut_scores([film[number] for film in films], grades, groups)
            assert score
            kappas[name] = score.qwk.value
    assert {name for name in places if kappas[name] > 0.7} == seen
    assert all(kappas[name] < 0.3 for name in places - seen)
    assert kappas["file header and size"] == 0


@pytest.fixture(scope="module")
def gornale(data, tmp_path_factory) -> tuple[Path, dict[str, dict[str, str]]]:
    """An archive with every third cluster of near copies of the Gornale set, and the rows of its labels by file."""
    with (data / "gornale_labels.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["file"]: row for row in csv.DictReader(file) if int(row["near_dup_cluster"]) % 3 == 0}
    path = tmp_path_factory.mktemp("gornale") / "films.tar"
    with tarfile.open(data / "gornale_original_png.tar") as whole, tarfile.open(path, "w") as part:
        for member in whole:
            if member.name.removeprefix("./") in rows:
                part.addfile(member, whole.extractfile(member))
    return path, rows


@pytest.mark.slow
def test_the_known_faults_of_the_gornale_set_are_found(gornale, tmp_path):
    """Counts and clusters that its labels file gives, which the audit does not read."""
    from tuning.audit import audit

    archive, rows = gornale
    out = audit([f"gornale={archive}"], tmp_path / "audit")
    summary = json.loads((out / "audit.json").read_text("utf-8"))
    films = {film.file.removeprefix("./"): film for film in read_films(out)}
    assert set(films) == set(rows)
    assert summary["byte_copies"] == len(rows) - len({row["sha256"] for row in rows.values()}) > 0
    assert summary["pixel_copies"] == len(rows) - len({row["pixel_sha256"] for row in rows.values()}) > 0
    grades = Counter(row["expert1_grade"] for row in rows.values())
    assert Counter(str(film.grade) for film in films.values()) == grades
    assert len(grades) == 5
    strips = {file for file, row in rows.items() if (row["width"], row["height"]) == ("640", "161")}
    two = {file for file, film in films.items() if film.knees == 2}
    assert len(strips) > 40
    assert len(strips - two) <= 1
    assert len(two - strips) <= 1
    assert summary["files_of_16_bits"] == sum(row["mode"].startswith("I") for row in rows.values()) > 10
    given = [
        {row["expert1_grade"] for row in rows.values() if row["near_dup_cluster"] == cluster}
        for cluster in {row["near_dup_cluster"] for row in rows.values()}
    ]
    found = summary["clusters"]["gornale"]
    assert abs(found["groups"] - len(given)) <= 0.05 * len(given)
    assert abs(found["of_several_grades"] - sum(len(grades) > 1 for grades in given)) <= 2
    assert summary["shifted_pairs"] > 10
    assert (
        f1(
            pairs({file: film.group for file, film in films.items()}),
            pairs({file: row["near_dup_cluster"] for file, row in rows.items()}),
        )
        >= 0.9
    )
    assert summary["shortcuts"]["gornale"]["file header and size"]["qwk"]["low"] > 0


def pairs(clusters: dict[str, str]) -> set[tuple[str, str]]:
    """Every two files of one cluster."""
    members: dict[str, list[str]] = {}
    for file in sorted(clusters):
        members.setdefault(clusters[file], []).append(file)
    return {(a, b) for files in members.values() for i, a in enumerate(files) for b in files[i + 1 :]}


def f1(found: set, given: set) -> float:
    return 2 * len(found & given) / (len(found) + len(given))


def test_the_protocol_is_that_of_the_given_clusters(data, tmp_path):
    assert write_protocol(data, tmp_path / "gornale.csv") == 1305


def test_inverted_films_are_marked_and_corrected_when_they_are_used(tmp_path):
    from tuning.audit import audit

    for grade in range(5):
        for number in range(6):
            pixels = knee_film(grade, 10 * grade + number).pixels
            write(
                tmp_path / "films" / "train" / str(grade) / f"{number}.png", 255 - pixels if number == grade else pixels
            )
    out = audit([f"site={tmp_path / 'films'}"], tmp_path / "audit")
    assert {film.file for film in read_films(out) if film.inverted} == {
        f"train/{grade}/{grade}.png" for grade in range(5)
    }
    assert json.loads((out / "audit.json").read_text("utf-8"))["inverted"] == {"site": 5}
    assert "inverted grays, put right when they are used: 5 films of site" in (out / "report.md").read_text("utf-8")
    knees = load_knees(out, "train", InputConfig(96, 96))
    mirrored = {film.file: pixels.astype(int) for film, pixels in zip(knees.films, knees.pixels, strict=True)}
    for grade in range(5):
        straight = letterbox(
            knee_film(grade, 11 * grade).pixels.astype(np.float32), (0, 0, 224, 224), InputConfig(96, 96)
        ).pixels
        assert np.abs(mirrored[f"train/{grade}/{grade}.png"] - straight).max() <= 1
