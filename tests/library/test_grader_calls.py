"""What a grader takes from its caller, and where it runs: boxes, arguments of any type, batches, other processes."""

import itertools
import math
import multiprocessing
import os
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import kneeoa_hub
from kneeoa_hub import FilmReport, KneeGrader, KneeOAError, errors, from_pretrained
from kneeoa_hub.imaging.phantom import knee_film, two_knee_film

from ..support.bundles import make_bundle

ROOT = Path(__file__).parents[2]


def test_a_given_box_is_graded_alone(grader):
    film = two_knee_film((0, 4), seed=5)
    report = grader.grade(film.pixels, boxes=[film.boxes[1]])
    assert [knee.box for knee in report.knees] == [film.boxes[1]]
    with pytest.raises(errors.FilmError, match="does not lie in the film"):
        grader.grade(film.pixels, boxes=[(0, 0, 9999, 10)])


@pytest.mark.parametrize(
    ("boxes", "said"),
    [
        ([(0, 0, math.nan, 5)], "four numbers"),
        ([(0, 0, math.inf, 5)], "four numbers"),
        ([(0, 0, 10**5000, 5)], "four numbers"),
        ([(0, 0, 200)], "four numbers"),
        ([(0, 0, 100, None)], "four numbers"),
        (["abcd"], "The box 'abcd' is not four numbers"),
        (["0099"], "four numbers"),
        ((0, 0, 100, 100), "The box 0 is not four numbers"),
        ([[[0, 0, 100, 100]]], "four numbers"),
        ("abcd", "four numbers"),
        (7, "boxes=7 is not a list"),
        ([], "No box was given"),
        (itertools.repeat((0, 0, 100, 100)), "over 16 boxes"),
    ],
)
def test_a_wrong_box_is_an_error_of_the_package(grader, boxes, said):
    with pytest.raises(errors.FilmError, match=said):
        grader.grade(knee_film(2, seed=1).pixels, boxes=boxes)


def test_a_box_may_be_of_any_numbers(grader):
    film = knee_film(2, seed=1).pixels
    for box in (
        (10, 10, 200, 210),
        [10.0, 10.5, 200.0, 210.0],
        np.array([10, 10, 200, 210], np.float32),
        np.array([10, 10, 200, 210], np.uint8),
    ):
        assert [knee.box for knee in grader.grade(film, boxes=[box], force=True).knees] == [(10, 10, 200, 210)]


def test_a_box_that_is_given_twice_is_graded_twice(grader):
    one, other = grader.grade(knee_film(3, seed=9).pixels, boxes=[(0, 0, 224, 224)] * 2).knees
    assert one.probabilities == pytest.approx(other.probabilities, abs=1e-6)  # a batch sums in another order


def test_a_bad_film_in_a_batch_is_reported_and_the_rest_go_on(grader, films):
    good = films["moderate"]
    answers = list(grader.grade_batch([good, b"", "missing.png", good]))
    assert [isinstance(answer, FilmReport) for answer in answers] == [True, False, False, True]
    assert all(isinstance(answer, KneeOAError) for answer in answers[1:3])
    assert answers[0].to_dict() == answers[3].to_dict()


WRONG_ARGUMENTS = {
    "threads": lambda _, __: from_pretrained(threads=1.5),  # type: ignore[arg-type]
    "threads below 0": lambda _, __: from_pretrained(threads=-1),
    "a million processes": lambda _, __: from_pretrained(decode_process=10**6),
    "level": lambda _, __: from_pretrained(level=[0.9]),  # type: ignore[arg-type]
    "decode_process": lambda _, __: from_pretrained(decode_process="1"),  # type: ignore[arg-type]
    "address": lambda _, __: from_pretrained(5),  # type: ignore[arg-type]
    "revision": lambda _, __: from_pretrained("org/name", revision=5),  # type: ignore[arg-type]
    "token": lambda _, __: from_pretrained("org/name", token=b"hf"),  # type: ignore[arg-type]
    "cache_dir": lambda _, __: from_pretrained("org/name", cache_dir=5),  # type: ignore[arg-type]
    "bundle": lambda _, __: KneeGrader("kneeoa-cnn"),  # type: ignore[arg-type]
    "workers": lambda grader, film: grader.grade_batch([film], workers="2"),
    "workers of a table": lambda grader, film: grader.grade_frame([film], workers=1.5),
    "films": lambda grader, _: grader.grade_batch(5),
    "names of films": lambda grader, film: grader.grade_batch({"mild": film}),
    "boxes by name": lambda grader, film: grader.grade_batch([film], boxes={"mild": None}),
    "films of a table": lambda grader, _: grader.grade_frame(None),
    "fewer boxes": lambda grader, film: grader.grade_batch([film, film], boxes=[None]),
    "fewer boxes of an iterator": lambda grader, film: list(grader.grade_batch(iter([film, film]), boxes=iter([None]))),
    "more boxes": lambda grader, film: list(grader.grade_batch(iter([film]), boxes=iter([None, None]))),
    "boxes": lambda grader, film: grader.grade_batch([film], boxes=7),
    "box": lambda grader, film: grader.grade(film, boxes=[None]),
    "many boxes": lambda grader, film: grader.grade(film, boxes=[(0, 0, 200, 200)] * 200),
    "many threads": lambda _, __: from_pretrained(threads=10**5000),
    "a level of many digits": lambda _, __: from_pretrained(level=10**5000),
    "letters": lambda grader, film: grader.grade(film, boxes="40,60,340,380"),
    "a list": lambda grader, _: grader.grade([[0, 1], [2, 3]]),
    "a tag": lambda grader, _: kneeoa_hub.push(grader.bundle.folder, "./hub", tag=5),  # type: ignore[arg-type]
    "a branch": lambda grader, _: kneeoa_hub.push(grader.bundle.folder, "./hub", branch=5),  # type: ignore[arg-type]
    "a bundle": lambda _, __: kneeoa_hub.push(None, "./hub"),  # type: ignore[arg-type]
    "a place": lambda grader, _: kneeoa_hub.push(grader.bundle.folder, 5),  # type: ignore[arg-type]
    "an archive": lambda _, __: kneeoa_hub.grade_dataset(5, "out"),  # type: ignore[arg-type]
    "a folder": lambda _, __: kneeoa_hub.grade_dataset("films", None),  # type: ignore[arg-type]
    "a part": lambda _, __: kneeoa_hub.grade_dataset("films", "out", films_per_part=0),
    "workers of Ray": lambda _, __: kneeoa_hub.grade_dataset("films", "out", workers="all"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", WRONG_ARGUMENTS)
def test_an_argument_of_another_type_is_an_error_of_the_package(name: str, grader, films, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KneeOAError, match=r"\.$"):
        WRONG_ARGUMENTS[name](grader, films["mild"])


@pytest.mark.parametrize(
    "film",
    [
        np.array(5),
        np.zeros((200, 200), object),
        np.zeros((200, 200), "datetime64[s]"),
        np.zeros((200, 200), complex),
        np.zeros((200, 200), [("gray", "u1")]),
        np.zeros((0, 200), np.uint8),
        np.full((200, 200), 10.0**300),
        np.zeros((2, 200, 200), np.uint8),
    ],
)
def test_an_array_that_is_no_film_is_an_error_of_the_package(film: np.ndarray, grader):
    with pytest.raises(errors.FilmError, match=r"\.$"):
        grader.grade(film)


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, kneeoa_hub; print([m for m in ('tensorflow', 'keras', 'gradio', 'flask', 'onnxruntime', 'pydicom',"
        " 'huggingface_hub') if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_a_grader_that_was_pickled_is_opened_once_in_a_process_and_grades_alike(grader, films):
    sent = pickle.dumps(grader)
    assert len(sent) < 1000
    again = pickle.loads(sent)
    assert pickle.loads(sent) is again is not grader
    assert (again.revision, again.level) == (grader.revision, grader.level)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        report = pool.submit(grader.grade, films["mild"]).result()
    wanted = [knee.probabilities for knee in grader.grade(films["mild"]).knees]
    for got in (report, again.grade(films["mild"])):
        np.testing.assert_allclose([knee.probabilities for knee in got.knees], wanted, atol=1e-6)


def test_a_grader_is_not_opened_where_its_bundle_is_missing_or_another_one(tmp_path):
    folder, moved = make_bundle(tmp_path / "bundle"), tmp_path / "elsewhere"
    sent = pickle.dumps(from_pretrained(folder))
    folder.rename(moved)
    with pytest.raises(errors.BundleError, match="this machine has none"):
        pickle.loads(sent)
    make_bundle(folder, version="2.0")
    with pytest.raises(errors.BundleError, match="give this machine the same bundle"):
        pickle.loads(sent)


def test_a_grading_reports_to_nobody_and_leaves_no_file(tmp_path, films):
    """onnxruntime would otherwise write ids of the machine and of the process, to send them to its maker."""
    code = "import sys, kneeoa_hub; print(len(kneeoa_hub.from_pretrained().grade(sys.argv[1]).knees))"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ORT_")} | {
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", code, str(films["mild"])], env=environ, capture_output=True, text=True, cwd=ROOT
    )
    assert done.stdout == "1\n", done.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
