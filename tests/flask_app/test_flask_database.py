"""The reader's database through what happens in years: locked, gone, a full disk, killed workers.

What was confirmed is kept, once.
"""

import shutil
import socket
import sqlite3
import threading
from collections import Counter
from pathlib import Path

import requests

from ..support.flask_requests import Visitor
from ..support.flask_serving import ACCEPT_JSON, graded, kill_worker, ready, serving
from ..support.waiting import until


def test_where_nothing_can_be_written_films_are_graded_and_readings_are_refused(films: dict[str, Path], tmp_path: Path):
    """A limit of zero bytes on every file stands for a full disk."""
    shutil.copy(_database(tmp_path / "made.db"), tmp_path / "readings.db")
    with serving(KNEEOA_READER_DB=f"sqlite:///{tmp_path / 'readings.db'}", room=0) as (address, _):
        ready(address)
        visitor = Visitor(address)
        place = _sent(visitor, films["mild"])
        assert place
        answer = _read(visitor, place, "r1")
        assert answer.status_code == 503
        assert "Nothing was saved" in answer.text
        assert graded(address, films["mild"].read_bytes())
    assert _kept(tmp_path / "readings.db") == []


def test_a_locked_or_missing_database_is_reported_and_films_are_graded(films: dict[str, Path], tmp_path: Path):
    database = _database(tmp_path / "readings.db")
    with serving(KNEEOA_READER_DB=f"sqlite:///{database}") as (address, _):
        ready(address)
        visitor = Visitor(address)
        place = _sent(visitor, films["mild"])
        assert place
        with sqlite3.connect(database, isolation_level=None) as other:
            other.execute("BEGIN EXCLUSIVE")
            assert _read(visitor, place, "r1").status_code == 503
            other.execute("ROLLBACK")
        other.close()
        assert _read(visitor, place, "r2").status_code == 303
        assert [reader for reader, *_ in _kept(database)] == ["r2"]
        database.unlink()
        assert _read(visitor, place, "r3").status_code == 503
        assert graded(address, films["mild"].read_bytes())


def test_a_worker_that_starts_while_the_database_is_locked_grades_films_and_keeps_readings_later(
    films: dict[str, Path], tmp_path: Path
):
    database = _database(tmp_path / "readings.db")
    with serving(KNEEOA_READER_DB=f"sqlite:///{database}", log=tmp_path / "log") as (address, process):
        ready(address)
        visitor = Visitor(address)
        with sqlite3.connect(database, isolation_level=None) as other:
            other.execute("BEGIN EXCLUSIVE")
            kill_worker(process)
            ready(address)
            place = _sent(visitor, films["mild"])
            assert place
            assert _read(visitor, place, "r1").status_code == 503
            other.execute("ROLLBACK")
        other.close()
        assert _read(visitor, place, "r2").status_code == 303
    assert [reader for reader, *_ in _kept(database)] == ["r2"]
    assert "SQLITE_BUSY" in (tmp_path / "log").read_text("utf-8")


def test_a_database_file_that_is_gone_is_not_replaced_by_an_empty_one(films: dict[str, Path], tmp_path: Path):
    database = tmp_path / "readings 1%.db"
    with serving(KNEEOA_READER_DB=f"sqlite:///{database}") as (address, process):
        ready(address)
        visitor = Visitor(address)
        place = _sent(visitor, films["mild"])
        assert _read(visitor, place or "", "r1").status_code == 303
        kept = database.read_bytes()
        database.unlink()
        assert _read(visitor, place or "", "r2").status_code == 503
        assert not database.exists()
        kill_worker(process)
        ready(address)
        place = _sent(visitor, films["mild"])
        assert _read(visitor, place or "", "r3").status_code == 503
        assert not database.exists()
        database.write_bytes(kept)
        assert _read(visitor, place or "", "r4").status_code == 303
    assert [reader for reader, *_ in _kept(database)] == ["r1", "r4"]


def test_a_silent_database_delays_no_start_and_no_page_for_long(films: dict[str, Path], tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = f"postgresql+psycopg://reader:secret@127.0.0.1:{silent.getsockname()[1]}/none"
        with serving(KNEEOA_READER_DB=where, log=tmp_path / "log") as (address, _):
            assert requests.get(f"{address}/health/live", timeout=60).status_code == 200
            ready(address)
            visitor = Visitor(address)
            place = _sent(visitor, films["mild"])
            assert requests.get(f"{address}{place}", timeout=60).status_code == 200
            assert _read(visitor, place or "", "r1").status_code == 503
    assert "does not answer" in (tmp_path / "log").read_text("utf-8")
    assert "secret" not in (tmp_path / "log").read_text("utf-8")


def test_readings_written_while_workers_are_killed_are_stored_exactly_once(films: dict[str, Path], tmp_path: Path):
    database = tmp_path / "readings.db"
    confirmed: list[str] = []
    with serving(KNEEOA_READER_DB=f"sqlite:///{database}") as (address, process):
        ready(address)
        stop = threading.Event()

        def reader(number: int) -> None:
            count = 0
            visitor = Visitor(address)  # the pages of the first worker are good for all
            while not stop.is_set():
                place = _sent(visitor, films["mild"])
                for _ in range(20 if place else 0):
                    name = f"r{number}-{count}"
                    count += 1
                    try:
                        if _read(visitor, place or "", name).status_code == 303:
                            confirmed.append(name)
                        else:
                            break  # the worker that knew this result is gone
                        _read(visitor, place or "", name)  # the form again, as an impatient reader sends it
                    except requests.RequestException:
                        break

        threads = [threading.Thread(target=reader, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for killed in range(4):
            so_far = len(confirmed)
            until(lambda so_far=so_far: len(confirmed) > so_far + 5)
            if killed < 3:
                kill_worker(process)
        stop.set()
        for thread in threads:
            thread.join()
    kept = [reader for reader, *_ in _kept(database)]
    assert len(confirmed) > 20
    assert set(confirmed) <= set(kept)
    assert max(Counter(kept).values()) == 1


def _database(path: Path) -> Path:
    """A database as the app makes it."""
    from flask_app.store import Readings

    assert Readings(f"sqlite:///{path}").all() == []
    return path


def _kept(path: Path) -> list[tuple]:
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT reader, film_sha256, knee, before, grade FROM readings").fetchall()
    connection.close()
    return rows


def _sent(visitor: Visitor, film: Path) -> str | None:
    """The address of the film's result."""
    try:
        answer = visitor.submit("/", files={"film": film.read_bytes()}, headers=ACCEPT_JSON)
    except requests.RequestException:
        return None
    return answer.json()["result"] if answer.status_code == 201 else None


def _read(visitor: Visitor, place: str, reader: str) -> requests.Response:
    """A reader's grade of the film's one knee, sent without the page that follows."""
    return visitor.submit(f"{place}/readings", {"reader": reader, "grade-1-0": "3"})
