"""Readers' own grades, on SQLite and PostgreSQL: kept, compared, exported, and read by training."""

import csv
import io
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image

from benchmarks.film_kinds import picture
from flask_app import create_app
from flask_app.store import Reading, Readings, ReadingsUnavailable, agreement, as_csv
from kneeoa_hub import KneeGrader
from kneeoa_hub.agreement import qwk
from kneeoa_hub.errors import DataError, SettingsError
from kneeoa_hub.imaging.phantom import write_films
from kneeoa_hub.settings import Settings
from tuning.data.sources import read_labels

from ..support.flask_requests import post, result_address, submit, token_of

# Debian leaves it out of PATH
PLACES = (*Path("/usr/lib/postgresql").glob("*/bin"), Path(shutil.which("initdb") or "-").parent)
POSTGRES = next((folder for folder in PLACES if (folder / "initdb").exists()), None)


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory) -> Iterator[str]:
    """The address of a server of its own, listening on a socket in its folder alone."""
    if not POSTGRES:
        pytest.skip("PostgreSQL is not installed")
    folder = tmp_path_factory.mktemp("postgres")
    user: dict = {}
    if os.geteuid() == 0:  # it refuses to run as root
        for path in (folder, *folder.parents[:3]):
            path.chmod(0o755)
        shutil.chown(folder, "postgres", "postgres")
        user = {"user": "postgres", "group": "postgres"}
    options = {"check": True, "stdout": subprocess.DEVNULL, "cwd": "/", **user}
    subprocess.run([POSTGRES / "initdb", "-D", folder / "data", "-U", "reader", "--auth=trust"], **options)
    serve = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    subprocess.run(
        [POSTGRES / "pg_ctl", "-D", folder / "data", "-l", folder / "log", "-w", "-o", serve, "start"], **options
    )
    try:
        yield f"postgresql+psycopg://reader@/postgres?host={folder}"
    finally:
        subprocess.run([POSTGRES / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop"], **options)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'readings.db'}"
    from sqlalchemy import NullPool, create_engine, text

    where = request.getfixturevalue("postgresql")
    with create_engine(where, poolclass=NullPool).begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS readings"))
    return where


@pytest.fixture
def client(database: str, grader: KneeGrader) -> FlaskClient:
    return create_app(Settings(reader_db=database), grader).test_client()


def reading(film: str = "a", **changed: Any) -> Reading:
    values: dict[str, Any] = {
        "knee": 0,
        "side": None,
        "reader": "r1",
        "before": True,
        "grade": 2,
        "model_grade": 3,
        "model": "m",
        "revision": "r",
    }
    return Reading(film * 64, **(values | changed))


def test_a_reading_after_the_answer_is_kept_shown_and_exported(
    client: FlaskClient, grader: KneeGrader, films: dict[str, Path]
):
    film = films["both-knees"].read_bytes()
    page = post(client, "/", film)
    assert "Your own grade" in page.text
    answer = submit(
        client,
        f"{result_address(page.text)}/readings",
        {"reader": "ab-1", "grade-1-0": "4", "grade-1-1": "0"},
        follow_redirects=True,
    )
    assert answer.status_code == 200
    text = re.sub(r"<[^>]+>", "", answer.text)
    assert "Your grades were saved." in text
    assert "Reader ab-1, right knee: grade 4, after seeing the model's" in text
    assert "Reader ab-1, left knee: grade 0" in text
    rows = list(csv.DictReader(io.StringIO(client.get("/readings.csv").text)))
    knees = grader.grade(film).knees
    assert [(row["side"], row["grade"], row["before"], row["model_grade"]) for row in rows] == [
        ("right", "4", "0", str(knees[0].grade)),
        ("left", "0", "0", str(knees[1].grade)),
    ]
    assert "both-knees" not in client.get("/readings.csv").text  # nor any other name of a file


def test_a_reader_may_grade_before_the_answer_is_shown(client: FlaskClient, films: dict[str, Path]):
    data = {"film": [(films["severe"].open("rb"), "x.png")], "blind": "1"}
    page = submit(client, "/", data, follow_redirects=True)
    assert "Your reading first" in page.text
    assert 'class="verdict"' not in page.text
    pictures = [Path(place).name for place in re.findall(r'src="(/results/[^"]+)"', page.text)]
    assert pictures == ["film.jpg", "knee-1.jpg"]
    place = re.search(r'action="(/results/[^"]+)/readings"', page.text)
    assert place
    shown = submit(
        client, f"{place[1]}/readings", {"reader": "r", "before": "1", "grade-1-0": "3"}, follow_redirects=True
    )
    assert "before seeing the model" in shown.text
    assert 'class="verdict"' in shown.text
    assert "Graded before the model" in client.get("/readings").text


def test_a_reader_who_grades_first_is_told_which_knee_is_which_and_no_side(client: FlaskClient, films: dict[str, Path]):
    film = np.asarray(Image.open(films["both-knees"]))
    for turns, first in ((0, "left"), (1, "bottom")):
        turned = picture(np.ascontiguousarray(np.rot90(film, turns)), "PNG")
        page = submit(client, "/", {"film": [(io.BytesIO(turned), "x.png")], "blind": "1"}, follow_redirects=True)
        assert f"knee at the picture&#39;s {first}" in page.text
        assert "right knee" not in page.text.lower()


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"grade-1-0": "2"}, "Enter your reader code"),
        ({"reader": "Jane Doe", "grade-1-0": "2"}, "Enter your reader code"),
        ({"reader": "r"}, "The form holds no grade"),
        ({"reader": "r", "grade-1-0": "5"}, "outside 0 to 4"),
        ({"reader": "r", "grade-1-9": "2"}, "outside 0 to 4, or of a knee that is not in this result"),
        ({"reader": "r", "grade-7-0": "2"}, "not in this result"),
    ],
)
def test_a_form_that_can_t_be_stored_says_why_and_nothing_is_stored(
    client: FlaskClient, films: dict[str, Path], form: dict[str, str], words: str
):
    place = result_address(post(client, "/", films["mild"].read_bytes()).text)
    answer = submit(client, f"{place}/readings", form)
    assert answer.status_code == 400
    assert words in answer.text
    assert "No reader has graded a film here yet" in client.get("/readings").text


def test_no_reading_is_kept_of_a_synthetic_film(client: FlaskClient):
    page = submit(client, "/", {"sample": "mild"}).text
    assert "Your own grade" not in page
    assert submit(client, f"{result_address(page)}/readings", {"reader": "r", "grade-1-0": "2"}).status_code == 400


def test_without_a_database_there_is_no_reader(grader: KneeGrader, films: dict[str, Path]):
    client = create_app(Settings(), grader).test_client()
    page = post(client, "/", films["mild"].read_bytes()).text
    assert "Your own grade" not in page
    assert "grade the films myself" not in client.get("/").text
    assert client.get("/readings").status_code == client.get("/readings.csv").status_code == 404
    assert submit(client, f"{result_address(page)}/readings", {"reader": "r", "grade-1-0": "2"}).status_code == 404


def test_a_new_grade_takes_the_place_of_the_old_one_and_before_stays_beside_after(database: str):
    store = Readings(database)
    store.save([reading(grade=1)])
    store.save([reading(grade=4), reading(before=False, grade=0), reading(reader="r2", grade=3)])
    assert {(one.reader, one.before, one.grade) for one in store.all()} == {
        ("r1", True, 4),
        ("r1", False, 0),
        ("r2", True, 3),
    }
    assert len(Readings(database).all()) == 3  # another process


def test_the_same_form_sent_many_times_at_once_is_kept_once(database: str):
    store = Readings(database)
    store.all()
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            list(pool.map(lambda grade: store.save([reading(grade=grade), reading("b", grade=grade)]), range(4)))
    assert sorted(one.film_sha256[0] for one in store.all()) == ["a", "b"]


def test_a_locked_table_is_reported_within_seconds(postgresql: str):
    from sqlalchemy import NullPool, create_engine, text

    store = Readings(postgresql)
    store.all()
    with create_engine(postgresql, poolclass=NullPool).begin() as other:
        other.execute(text("LOCK TABLE readings IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(ReadingsUnavailable):  # while it is locked
            store.all()
    assert isinstance(store.all(), list)


def test_a_database_s_error_about_a_row_is_not_logged(database: str, caplog: pytest.LogCaptureFixture):
    store = Readings(database)
    with pytest.raises(ReadingsUnavailable):
        store.save([reading(reader="reader-7", grade=None)])
    assert "IntegrityError" in caplog.text or "NotNullViolation" in caplog.text
    assert "reader-7" not in caplog.text
    assert "aaaa" not in caplog.text


def test_several_readings_are_stored_all_or_none(database: str):
    store = Readings(database)
    with pytest.raises(ReadingsUnavailable):
        store.save([reading(), reading("b", grade=None)])
    assert store.all() == []


def test_agreement_is_kappa_with_an_interval_over_films():
    pairs = [(0, 0), (1, 2), (2, 2), (3, 4), (4, 4), (2, 1), (0, 1), (3, 3), (1, 1), (0, 2)]
    readings = [
        reading("abcdefghij"[number], grade=given, model_grade=answered)
        for number, (given, answered) in enumerate(pairs)
    ]
    found = agreement(readings)
    assert found
    assert found.kappa is not None
    assert found.low is not None
    assert found.high is not None
    import numpy as np

    given, answered = np.array(pairs).T
    assert found.kappa == pytest.approx(qwk(given, answered))
    assert found.low < found.kappa < found.high <= 1
    assert (found.knees, found.films, found.same) == (10, 10, 0.5)
    assert np.trace(found.counts) == 5
    assert agreement([]) is None
    few = agreement(readings[:9])
    assert few
    assert (few.kappa, few.low, few.films) == (None, None, 9)


@pytest.mark.parametrize("address", ["no address:secret", "nosuch+driver://reader:secret@127.0.0.1/none"])
def test_an_unusable_database_address_is_shown_without_its_password(address: str):
    with pytest.raises(SettingsError, match=r"KNEEOA_READER_DB can't be used .*give sqlite:///readings.db") as error:
        Readings(address)
    assert "secret" not in error.value.message


def test_a_database_that_does_not_answer_yet_is_no_configuration_error_and_its_password_is_not_logged(
    caplog: pytest.LogCaptureFixture,
):
    store = Readings("postgresql+psycopg://reader:secret@127.0.0.1:1/none")
    with pytest.raises(ReadingsUnavailable):
        store.all()
    assert "does not answer" in caplog.text
    assert "secret" not in caplog.text


def test_a_table_is_made_when_its_database_comes(tmp_path: Path):
    store = Readings(f"sqlite:///{tmp_path / 'later' / 'readings.db'}")
    with pytest.raises(ReadingsUnavailable):
        store.save([reading()])
    (tmp_path / "later").mkdir()
    store.save([reading()])
    assert len(store.all()) == 1


def test_a_database_that_is_gone_gives_a_clear_page_and_films_are_still_graded(
    tmp_path: Path, grader: KneeGrader, films: dict[str, Path]
):
    folder = tmp_path / "db"
    folder.mkdir()
    client = create_app(Settings(reader_db=f"sqlite:///{folder / 'readings.db'}"), grader).test_client()
    place = result_address(post(client, "/", films["mild"].read_bytes()).text)
    shutil.rmtree(folder)
    answer = submit(client, f"{place}/readings", {"reader": "r", "grade-1-0": "2"})
    assert answer.status_code == 503
    assert "Nothing was saved" in answer.text
    assert str(tmp_path) not in answer.text
    page = post(client, "/", films["mild"].read_bytes())
    assert page.status_code == 200
    assert 'class="verdict"' in page.text


def test_training_reads_the_exported_grades_by_the_films_hashes(tmp_path: Path, grader: KneeGrader):
    write_films(tmp_path, 10)
    paths = sorted(tmp_path.rglob("*.png"))
    from kneeoa_hub.manifest import sha256_of

    readings = [
        Reading(sha256_of(path), 0, "left", "r", True, number % 5, 0, "m", "r") for number, path in enumerate(paths)
    ]
    (tmp_path / "readings.csv").write_text(as_csv(readings), "utf-8")
    films = read_labels([f"site={tmp_path / 'readings.csv'}"])
    assert [(tmp_path / film.file, film.grade, film.side, film.dataset) for film in films] == [
        (path, number % 5, "left", "site") for number, path in enumerate(paths)
    ]
    paths[0].unlink()
    with pytest.raises(DataError, match="line 2: no film in the folder of the CSV has sha256:"):
        read_labels([f"site={tmp_path / 'readings.csv'}"])


def test_the_page_of_readers_stays_in_the_menu_while_nobody_has_graded(grader: KneeGrader, tmp_path: Path):
    client = create_app(Settings(reader_db=f"sqlite:///{tmp_path / 'readings.db'}"), grader).test_client()
    for path in ("/", "/readings"):
        assert 'href="/readings"' in client.get(path).text


def test_a_reader_who_grades_first_can_zoom_and_window_and_see_each_knee(
    grader: KneeGrader, films: dict[str, Path], tmp_path: Path
):
    client = create_app(Settings(reader_db=f"sqlite:///{tmp_path / 'readings.db'}"), grader).test_client()
    page = client.get("/").text
    data = {"film": [(films["both-knees"].open("rb"), "x.png")], "blind": "1", "csrf_token": token_of(page)}
    place = client.post("/", data=data).location
    page = client.get(place).text
    assert all(f'data-control="{name}"' in page for name in ("zoom", "level", "window"))
    assert page.count("data-box=") == 2
    assert "overlay.jpg" not in page
    assert "Mild</p>" not in page
    picture = place.replace("/read-first", "/films/1/knee-1.jpg")
    assert client.get(picture).status_code == 200
    fields = {"reader": "r1", "before": "1", "grade-1-0": "2"}
    saved = submit(client, place.replace("/read-first", "/readings"), fields)
    assert saved.status_code == 303  # a picture of a knee does not show the grade of the model
