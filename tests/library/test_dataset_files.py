"""Parts, answers and errors of an archive without Ray: what is read, what is written, and what is graded again."""

import csv
import pickle
import tracemalloc
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

import kneeoa_hub
from kneeoa_hub.cli import main
from kneeoa_hub.dataset import grade
from kneeoa_hub.dataset.files import GradedFiles
from kneeoa_hub.dataset.parts import FilmList, Part, contents, list_films, rounds
from kneeoa_hub.errors import DamagedFilm, FilmNotFound, KneeOAError, OutputError, SettingsError
from kneeoa_hub.report import FilmReport

pytestmark = pytest.mark.skipif(
    not (find_spec("pyarrow") and find_spec("fsspec")), reason="the extra `ray` is not installed"
)

DAMAGED = DamagedFilm("The film is damaged; send it again.")


@pytest.fixture
def store() -> Iterator[str]:
    """The address of an empty object store."""
    import fsspec

    yield "memory://answers"
    fsspec.filesystem("memory").rm("/answers", recursive=True)


@pytest.fixture
def report(grader: kneeoa_hub.KneeGrader, films: dict[str, Path]) -> FilmReport:
    return grader.grade(films["mild"])


def test_films_in_an_object_store_that_are_graded_again_keep_the_other_answers_of_their_file(store, report):
    import fsspec
    import pyarrow.parquet as pq

    files = GradedFiles(store, "1", 0.9)
    fsspec.filesystem("memory").rmdir("/answers")  # a store may keep no empty folder
    assert not files.finished().films
    assert files.write("part-a.parquet", [("good", report), ("bad", DAMAGED), ("worse", DAMAGED)]) == 2
    before = files.finished()
    assert before.films == {"good", "bad", "worse"}
    assert before.failed == {"bad": "part-a.parquet", "worse": "part-a.parquet"}

    assert files.write(before.failed["bad"], [("bad", report)]) == 0
    after = files.finished()
    assert after.films == before.films
    assert after.failed == {"worse": "part-a.parquet"}
    with fsspec.open(f"{store}/part-a.parquet") as file:
        rows = pq.read_table(file).to_pylist()
    assert sorted(row["film"] for row in rows) == ["bad", "good", "worse"]
    bad, good = ({**row, "film": ""} for row in rows if row["film"] != "worse")
    assert bad == good

    with pytest.raises(SettingsError, match=r"holds answers of revision 1 at level 0\.9"):
        GradedFiles(store, "2", 0.9).finished()


def test_a_file_has_the_columns_and_values_of_the_csv(report, films, tmp_path):
    import pyarrow.parquet as pq

    film, out = str(films["mild"]), tmp_path / "answers.csv"
    assert main(["grade", film, "--out", str(out)]) == 0
    files = GradedFiles(f"file://{tmp_path}/site [1]", report.revision, report.level)
    files.write("part-a.parquet", [(film, report)])
    assert files.finished().films == {film}
    with out.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        (by_command,) = reader
    table = pq.read_table(tmp_path / "site [1]" / "part-a.parquet")
    assert table.column_names == reader.fieldnames
    (by_ray,) = table.to_pylist()
    for name, cell in by_ray.items():
        shown = " ".join(map(str, cell)) if isinstance(cell, list) else cell
        assert by_command[name] == "" if shown is None else type(shown)(by_command[name]) == shown, name


def test_a_store_that_fails_or_holds_other_bytes_is_an_error_of_output(store, monkeypatch):
    import fsspec

    files = GradedFiles(store, "1", 0.9)
    fsspec.filesystem("memory").pipe_file("/answers/part-a.parquet", b"no table")
    with pytest.raises(OutputError, match=r"part-a.parquet can't be read as answers"):
        files.finished()

    def full(*_: object, **__: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "pipe_file", full)
    with pytest.raises(OutputError, match=r"memory://answers can't be written \(OSError: no room\)"):
        files.write("part-b.parquet", [("bad", DAMAGED)])


def test_films_that_failed_are_graded_again_into_their_file_and_two_workers_never_write_one():
    one, two = Part(("a", "b", "c")), Part(("d",), table="t.parquet")
    archive = FilmList((one, two), frozenset("abcd"), ())
    assert [part.films for part in archive.parts(2, {"a", "z"}, {})] == [("b", "c"), ("d",)]
    again = archive.parts(2, set("abcd"), {"a": "part-1", "c": "part-2", "d": "part-1"})
    assert [(part.films, part.name) for part in again] == [(("a",), "part-1"), (("c",), "part-2"), (("d",), "part-1")]
    assert [[part.films for part in turn] for turn in rounds(again)] == [[("a",), ("c",)], [("d",)]]


def test_films_that_are_given_one_by_one_share_the_parts_of_a_folder(films, tmp_path):
    given = [*map(str, films.values()), f"file://{films['mild']}"]
    archive = list_films(given)
    parts = archive.parts(len(given) - 1, set(), {})
    assert [part.films for part in parts] == [tuple(given[:-1]), tuple(given[-1:])]


def test_a_film_whose_name_is_not_utf8_is_left_out_and_named(films):
    archive = list_films([str(films["mild"]), "a\udcff.png", "b\udcff.png"])
    assert archive.films == {str(films["mild"])}
    assert [note.partition(":")[0] for note in archive.notes] == ["a\udcff.png and 1 more"]


def test_a_table_of_films_is_read_in_bounded_memory_and_a_name_never_gets_the_bytes_of_another(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "films.parquet"
    names = [f"film-{number}" for number in range(4096)]
    table = pa.table({"film": names, "content": [b"" if name == "film-9" else name.encode() * 400 for name in names]})
    pq.write_table(table, path, compression="none", use_dictionary=False)
    (group,) = list_films([str(path)]).groups
    del table
    last = Part(tuple(names[9:10] + names[-1:]), group.table)
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    held = []
    for content in contents(last):
        held.append(pa.total_allocated_bytes() - before)
        assert content in (b"", names[-1].encode() * 400)
    _, read = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(held) == 2
    assert max(held) + read < path.stat().st_size * 2 / 3
    with pytest.raises(FilmNotFound, match="changed during the run: it has no film-9 in its place"):
        list(contents(Part(("film-10", "film-9"), group.table)))


@pytest.mark.parametrize(("given", "message"), [("nowhere.parquet", "can't be read"), ("nothing://films", "listed")])
def test_a_retry_with_a_mistyped_source_changes_no_answer(given, message, tmp_path, monkeypatch):
    monkeypatch.setattr(grade, "imported_ray", SimpleNamespace)
    with pytest.raises(FilmNotFound, match=message):
        kneeoa_hub.grade_dataset(given, tmp_path / "out", retry_failed=True)
    assert not list(tmp_path.iterdir())


def graded_by(rows: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch) -> list[Part]:
    """Let workers answer with these rows; return the parts that they will be given."""
    given: list[Part] = []

    def answers(_ray: object, parts: list[Part], *_: object) -> Iterator[dict[str, object]]:
        given.extend(parts)
        yield from rows

    ray = SimpleNamespace(is_initialized=lambda: True, cluster_resources=dict)
    ray.exceptions = SimpleNamespace(RayError=ZeroDivisionError)
    monkeypatch.setattr(grade, "imported_ray", lambda: ray)
    monkeypatch.setattr(grade, "on_actors", answers)
    return given


def test_only_films_of_the_source_count_and_are_graded_again(store, report, grader, films, tmp_path, monkeypatch):
    mild = str(films["mild"])
    level = grader.bundle.config.conformal.at(None).level
    files = GradedFiles(store, grader.revision, level)
    files.write("part-a.parquet", [("elsewhere", DAMAGED), (mild, DAMAGED)])
    given = graded_by([{"graded": 1, "failed": 0, "error": b""}], monkeypatch)
    done = kneeoa_hub.grade_dataset(mild, store)
    assert (done.films, done.graded, done.failed) == (1, 0, 1)
    assert not given
    assert main(["grade", mild, "--engine", "ray", "--retry-failed", "--out", store]) == 0
    assert [(part.films, part.name) for part in given] == [((mild,), "part-a.parquet")]
    assert main(["grade", mild, "--retry-failed", "--out", str(tmp_path / "grades.csv")]) == 2


def test_an_error_of_a_worker_is_raised_as_itself(grader, tmp_path, monkeypatch):
    files = GradedFiles(str(tmp_path), grader.revision, 0.9)
    row = {"films": [("a",)], "table": ["nowhere.parquet"], "group": [0], "base": [""], "file": [""]}
    worker = grade.PartGrader(files, {"address": str(grader.bundle.folder)}, False)
    (missing,) = worker(row)["error"]
    assert isinstance(pickle.loads(missing), FilmNotFound)
    (other,) = grade.PartGrader(GradedFiles(str(tmp_path), "another", 0.9), {"address": None}, False)(row)["error"]
    assert isinstance(pickle.loads(other), SettingsError)

    (tmp_path / "a.png").write_bytes(b"no film")
    graded_by([{"graded": 0, "failed": 0, "error": missing}], monkeypatch)
    with pytest.raises(FilmNotFound, match=r"nowhere.parquet can't be read"):
        kneeoa_hub.grade_dataset(tmp_path / "a.png", tmp_path / "out")


def test_a_run_that_ray_stops_ends_with_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"no film")
    graded_by([], monkeypatch)

    def stopped(*_: object) -> Iterator[dict[str, object]]:
        raise ZeroDivisionError("The actor died.\n  a traceback\nOSError: no room")
        yield {}

    monkeypatch.setattr(grade, "on_actors", stopped)
    with pytest.raises(KneeOAError, match=r"^Ray stopped the run \(ZeroDivisionError: OSError: no room\); the same"):
        kneeoa_hub.grade_dataset(tmp_path / "a.png", tmp_path / "out")
