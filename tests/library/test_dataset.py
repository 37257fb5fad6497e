"""An archive that is graded on Ray: two workers, one of which is killed, give the rows of one process, each once."""

import doctest
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import kneeoa_hub
from benchmarks.film_kinds import dicom
from kneeoa_hub.cli import main
from kneeoa_hub.dataset.parts import list_films
from kneeoa_hub.errors import FilmError, FilmNotFound, MissingExtra, SettingsError
from kneeoa_hub.imaging.phantom import write_films

from ..support.dicom_films import knee
from ..support.waiting import until

if TYPE_CHECKING:
    import pandas as pd

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (find_spec("ray") and find_spec("pandas")), reason="the extra `ray` is not installed"),
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 15 films that can be graded, a damaged one and an empty one."""
    folder = tmp_path_factory.mktemp("archive") / "films"
    write_films(folder, 20)
    for film in sorted(folder.rglob("*.png"))[15:]:
        film.unlink()
    (folder / "damaged.png").write_bytes(b"no film")
    (folder / "empty.dcm").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Ray with two cores, in a home of its own."""
    from kneeoa_hub.third_party import quiet_ray

    quiet_ray()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("RAY_AUTH_MODE", "disabled")
        import ray

        for last in (False, False, True):
            try:
                ray.init(num_cpus=2, include_dashboard=False, object_store_memory=80_000_000, log_to_driver=False)
                break
            except Exception:  # it gives its node 30 seconds to start, which a busy machine may not manage
                ray.shutdown()
                if last:
                    raise
        yield
        ray.shutdown()


def rows(table: "pd.DataFrame") -> list[dict[str, object]]:
    """The rows of a table in the order of films and knees, with None for what is missing."""
    ordered = table.sort_values(["film", "knee"]).reset_index(drop=True)
    found = ordered.astype(object).where(ordered.notna(), None).to_dict("records")
    return [
        {name: tuple(cell) if name == "grade_set" and cell is not None else cell for name, cell in row.items()}
        for row in found
    ]


@pytest.fixture(scope="module")
def in_one_process(archive: Path, grader: kneeoa_hub.KneeGrader) -> list[dict[str, object]]:
    """The rows of the archive as one process grades it."""
    return rows(grader.grade_frame(archive))


def kill_an_actor(killed: list[int]) -> None:
    """Wait until an actor grades, and kill it; its process is added to `killed`."""
    number = until(grading_actor)
    os.kill(number, signal.SIGKILL)
    killed.append(number)


def grading_actor() -> int | None:
    """Return the process of an actor that grades, or None."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            name = (process / "cmdline").read_bytes()
            if name.startswith(b"ray::") and b"PartGrader" in name and b"__init__" not in name:
                return int(process.name)
    return None


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="actors are found by /proc")
def test_a_killed_worker_loses_no_film_and_none_is_graded_twice(
    archive: Path, in_one_process: list[dict[str, object]], tmp_path: Path, cluster: None
):
    import pandas as pd

    killed: list[int] = []
    killer = threading.Thread(target=kill_an_actor, args=(killed,))
    killer.start()
    done = kneeoa_hub.grade_dataset(archive, tmp_path / "out", workers=2, films_per_part=3)
    killer.join()
    assert killed
    assert (done.films, done.graded, done.failed) == (17, 17, 2)
    assert rows(pd.read_parquet(tmp_path / "out")) == in_one_process

    # A run that was stopped: one part is missing, and one film is new.
    next(iter(sorted((tmp_path / "out").glob("part-*")))).unlink()
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    again = kneeoa_hub.grade_dataset(archive, tmp_path / "out", workers=1, films_per_part=3)
    assert again.films == 17
    assert 1 <= again.graded <= 3
    assert rows(pd.read_parquet(tmp_path / "out")) == in_one_process
    assert {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in before} == before


def test_addresses_and_tables_of_films_give_the_rows_of_a_folder(
    archive: Path, in_one_process: list[dict[str, object]], tmp_path: Path, cluster: None, capsys
):
    import pandas as pd

    films = sorted(path for path in archive.rglob("*") if path.is_file())
    table = pd.DataFrame({"film": list(map(str, films)), "content": [film.read_bytes() for film in films]})
    table.to_parquet(tmp_path / "films.parquet")
    assert main(["grade", str(tmp_path / "films.parquet"), "--engine", "ray", "--out", str(tmp_path / "of-table")]) == 1
    assert "17 films, 2 failed." in capsys.readouterr().err
    of_table = rows(pd.read_parquet(tmp_path / "of-table"))
    # The message of a failed film names the file, or its place in the table.
    assert [row | {"error": row["error"] is None} for row in of_table] == [
        row | {"error": row["error"] is None} for row in in_one_process
    ]

    address = f"file://{archive}"
    done = kneeoa_hub.grade_dataset(address, f"file://{tmp_path}/of-address", workers=1)
    assert (done.films, done.failed) == (17, 2)
    of_address = rows(pd.read_parquet(tmp_path / "of-address"))
    assert [row["p2"] for row in of_address] == [row["p2"] for row in in_one_process]
    assert all(str(row["film"]).startswith("file://") for row in of_address)


def test_the_example_of_the_docstring_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: None):
    monkeypatch.chdir(tmp_path)
    (example,) = doctest.DocTestFinder().find(kneeoa_hub.grade_dataset, "grade_dataset")
    assert example.examples
    output: list[str] = []
    failed, _ = doctest.DocTestRunner().run(example, out=output.append)
    assert not failed, "".join(output)


def test_dicom_of_any_name_behind_an_address_is_a_film_and_other_files_are_named(tmp_path: Path):
    film = dicom(knee())
    for name in ("IM0001", "KNEE.IMA", "a.dcm", "notes.txt", "DICOMDIR", ".hidden.png", "empty"):
        (tmp_path / name).write_bytes(b"" if name == "empty" else film)
    (tmp_path / "notes.txt").write_bytes(b"text")
    archive = list_films([f"file://{tmp_path}", f"file://{tmp_path}/notes.txt"])
    (part,) = archive.groups
    # The text file was given by its name, so it counts as a film.
    assert [Path(film).name for film in part.films] == ["IM0001", "KNEE.IMA", "a.dcm", "notes.txt"]
    assert archive.films == {*part.films}
    (note,) = archive.notes
    assert "skipped 4 other files" in note


def test_what_cannot_be_graded_is_an_error_before_ray_starts(archive: Path, tmp_path: Path, monkeypatch, capsys):
    import pandas as pd

    with pytest.raises(SettingsError, match="occurs twice among the films"):
        kneeoa_hub.grade_dataset([archive, archive], tmp_path / "out")
    with pytest.raises(FilmNotFound, match=r"nowhere.parquet can't be read"):
        kneeoa_hub.grade_dataset(tmp_path / "nowhere.parquet", tmp_path / "out")
    pd.DataFrame({"name": ["a"]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(SettingsError, match="has no column content or film"):
        kneeoa_hub.grade_dataset(tmp_path / "other.parquet", tmp_path / "out")
    (tmp_path / "none").mkdir()
    with pytest.raises(FilmError, match="holds no films"):
        kneeoa_hub.grade_dataset(f"file://{tmp_path}/none", tmp_path / "out")
    with pytest.raises(FilmNotFound, match="nothing://films can't be listed"):
        kneeoa_hub.grade_dataset("nothing://films", tmp_path / "out")
    for options in (["--out", "x.csv"], [], ["--out", "x", "--overlays", "y"]):
        assert main(["grade", str(archive), "--engine", "ray", *options]) == 2
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"kneeoa-hub\[ray\]"):
        kneeoa_hub.grade_dataset(archive, tmp_path / "out")
    capsys.readouterr()
