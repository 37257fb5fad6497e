"""The running server through what happens in years: killed workers, slow and vanished clients, full disks, garbage. Never a wrong answer."""

import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

import kneeoa_hub
from flask_app.guards import new_key
from kneeoa_hub import KneeGrader
from kneeoa_hub.bundle import write_manifest

from .flask_requests import Visitor, assert_problem
from .flask_serving import ROOT, serving
from .hub_server import HubServer

BUNDLE = ROOT / "kneeoa_hub" / "pretrained" / "kneeoa-cnn"
ACCEPT_JSON = {"Accept": "application/json"}


def workers(process: subprocess.Popen[str]) -> list[int]:
    """The numbers of the processes that a server's parent has forked."""
    return [int(number) for number in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def kill_worker(process: subprocess.Popen[str]) -> None:
    for number in workers(process):
        os.kill(number, signal.SIGKILL)


def ready(address: str) -> None:
    """Wait until films can be sent."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            if requests.get(f"{address}/health/ready", timeout=10).status_code == 200:
                return
        except requests.RequestException:
            pass
        time.sleep(0.1)
    raise AssertionError("not ready after a minute")


def graded(address: str, film: bytes) -> dict | None:
    """The film's report, or None when the connection broke."""
    try:
        answer = requests.post(f"{address}/api/v1/grade", files={"film": film}, timeout=60)
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):  # before the answer, or amid it
        return None
    return answer.json()["films"][0] if answer.status_code == 200 else {"status": answer.status_code}


def test_a_killed_worker_is_replaced_and_no_answer_is_ever_wrong(grader: KneeGrader, films: dict[str, Path]):
    names = ("normal", "severe")
    right = {name: grader.grade(films[name]).to_dict() for name in names}
    stop = threading.Event()
    with serving() as (address, process):
        ready(address)

        def client(name: str) -> list[dict | None]:
            answers = []
            while not stop.is_set():
                answers.append(graded(address, films[name].read_bytes()))
            return answers

        with ThreadPoolExecutor(6) as pool:
            waiting = [(name, pool.submit(client, name)) for name in names * 3]
            for _ in range(3):
                time.sleep(1.5)
                kill_worker(process)
            ready(address)
            time.sleep(1)
            stop.set()
            answers = [(name, answer) for name, future in waiting for answer in future.result()]
        assert graded(address, films["severe"].read_bytes()) == right["severe"]
    told = [(name, answer) for name, answer in answers if answer is not None and "status" not in answer]
    assert len(told) > 10
    assert all(answer == right[name] for name, answer in told)
    assert {answer["status"] for _, answer in answers if answer and "status" in answer} <= {503}


def test_a_stop_lets_the_request_under_way_be_answered(films: dict[str, Path]):
    with serving() as (address, process), ThreadPoolExecutor(1) as pool:
        ready(address)
        many = [("film", films["both-knees"].read_bytes())] * 40
        answer = pool.submit(requests.post, f"{address}/api/v1/grade", files=many, timeout=60)
        while "kneeoa_waiting" not in requests.get(f"{address}/metrics", timeout=10).text:
            pass
        time.sleep(0.5)  # sent, and not answered: forty films take longer
        assert not answer.done()
        process.terminate()
        assert len(answer.result().json()["films"]) == 40
        assert process.wait(60) == 0


@pytest.mark.parametrize("fork", [True, False])
def test_a_stop_answers_what_is_graded_and_tells_what_waits_to_come_back(films: dict[str, Path], tmp_path: Path, fork: bool):
    with serving(fork=fork, log=tmp_path / "log") as (address, process), ThreadPoolExecutor(12) as pool:
        ready(address)
        many = [("film", films["both-knees"].read_bytes())] * 40
        sent = [pool.submit(requests.post, f"{address}/api/v1/grade", files=many, timeout=120) for _ in range(12)]
        end = time.monotonic() + 60
        while not re.search(r"kneeoa_waiting [1-9]", requests.get(f"{address}/metrics", timeout=10).text):
            assert time.monotonic() < end
        time.sleep(1)
        process.terminate()
        answers = [one.result() for one in sent]
        assert process.wait(60) == 0
    kinds = Counter(answer.status_code for answer in answers)
    assert kinds.keys() == {200, 503}
    assert all(len(answer.json()["films"]) == 40 for answer in answers if answer.status_code == 200)
    told = [answer for answer in answers if answer.status_code == 503]
    for answer in told:
        assert_problem(answer, 503, "busy")
        assert answer.headers["Retry-After"] == "5"
    # On a slow machine some were told before, since their bodies had no room.
    assert any("being stopped" in answer.text for answer in told)
    assert all("trace" not in json.loads(line) for line in (tmp_path / "log").read_text("utf-8").splitlines())


def test_more_requests_than_may_wait_are_told_to_come_back_and_the_others_are_answered(films: dict[str, Path]):
    many = [("film", films["both-knees"].read_bytes())] * 10
    with serving(KNEEOA_QUEUE="1") as (address, _), ThreadPoolExecutor(12) as pool:
        ready(address)
        answers = list(pool.map(lambda _: requests.post(f"{address}/api/v1/grade", files=many, timeout=120), range(12)))
    kinds = Counter(answer.status_code for answer in answers)
    assert kinds.keys() == {200, 503}
    assert kinds[200] >= 2
    for answer in answers:
        if answer.status_code == 503:
            assert_problem(answer, 503, "busy")
            assert answer.headers["Retry-After"] == "5"


def test_clients_that_send_slowly_or_nothing_do_not_keep_others_out(films: dict[str, Path], tmp_path: Path):
    beginnings = (b"", b"POST /api/v1/grade HT", b"POST /api/v1/grade HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\nContent-Type: image/png\r\n\r\nabc")
    with serving(log=tmp_path / "log") as (address, _):
        ready(address)
        held = [connected(address) for _ in range(120)]  # of each kind more than there are threads
        for number, connection in enumerate(held):
            connection.sendall(beginnings[number % len(beginnings)])
        time.sleep(0.5)
        assert slowest(address) < 1
        report = graded(address, films["mild"].read_bytes())
        assert report
        assert len(report["knees"]) == 1
        for number, connection in enumerate(held):
            connection.settimeout(30)
            left = connection.recv(4096)  # each is cut off, told 400 when its head was understood
            assert left.startswith(b"HTTP/1.1 400 ") if number % len(beginnings) == 2 else not left
            connection.close()
    assert all("trace" not in json.loads(line) for line in (tmp_path / "log").read_text("utf-8").splitlines())


def test_clients_that_keep_an_answered_connection_open_do_not_keep_others_out():
    with serving() as (address, _):
        ready(address)
        held = [connected(address) for _ in range(200)]
        for connection in held:
            connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert slowest(address) < 1
        for connection in held:
            connection.settimeout(30)
            assert connection.makefile("rb").read().endswith(b'{"status":"live"}\n')
            connection.close()


def test_more_connections_than_are_held_make_room_for_each_other(films: dict[str, Path]):
    with serving() as (address, process):
        ready(address)
        (worker,) = workers(process)
        held = [connected(address) for _ in range(600)]
        assert slowest(address) < 1
        assert workers(process) == [worker]
        for connection in held:
            connection.close()


def connected(address: str) -> socket.socket:
    host, _, port = address.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def slowest(address: str) -> float:
    """Seconds of the slowest of five answers to whether the server lives."""
    taken = []
    for _ in range(5):
        began = time.monotonic()
        assert requests.get(f"{address}/health/live", timeout=60).status_code == 200
        taken.append(time.monotonic() - began)
    return max(taken)


def test_clients_that_go_away_while_they_send_leave_nothing_behind(films: dict[str, Path], tmp_path: Path):
    with serving(log=tmp_path / "log", TMPDIR=str(tmp_path)) as (address, process):
        ready(address)
        host, _, port = address.removeprefix("http://").partition(":")
        for _ in range(50):
            with socket.create_connection((host, int(port))) as connection:
                connection.sendall(b"POST /api/v1/grade HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\nContent-Type: image/png\r\n\r\n" + bytes(300_000))
        assert graded(address, films["mild"].read_bytes())
        (worker,) = workers(process)
        assert len(list(Path(f"/proc/{worker}/fd").iterdir())) < 60
    assert [path for path in tmp_path.iterdir() if path.name != "log" and path.is_file()] == []
    assert all("trace" not in json.loads(line) for line in (tmp_path / "log").read_text("utf-8").splitlines())


def test_where_nothing_can_be_written_films_are_graded_and_readings_are_refused(films: dict[str, Path], tmp_path: Path):
    """A limit of zero bytes on every file stands for a full disk."""
    shutil.copy(_database(tmp_path / "made.db"), tmp_path / "readings.db")
    full = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # noqa: E731
    with serving(KNEEOA_READER_DB=f"sqlite:///{tmp_path / 'readings.db'}", before=full) as (address, _):
        ready(address)
        visitor = Visitor(address)
        place = _sent(visitor, films["mild"])
        assert place
        answer = _read(visitor, place, "r1")
        assert answer.status_code == 503
        assert "Nothing was saved" in answer.text
        assert graded(address, films["mild"].read_bytes())
    assert _kept(tmp_path / "readings.db") == []


def test_a_database_that_is_locked_or_gone_is_told_and_films_are_graded(films: dict[str, Path], tmp_path: Path):
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


def test_a_worker_that_starts_while_the_database_is_locked_grades_films_and_keeps_readings_later(films: dict[str, Path], tmp_path: Path):
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


def test_a_database_that_takes_a_connection_and_says_nothing_delays_no_start_and_no_page_for_long(films: dict[str, Path], tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        where = f"postgresql+psycopg://reader:secret@127.0.0.1:{silent.getsockname()[1]}/none"
        with serving(KNEEOA_READER_DB=where, log=tmp_path / "log") as (address, _):
            assert requests.get(f"{address}/health/live", timeout=60).status_code == 200
            assert time.monotonic() - began < 10
            ready(address)
            visitor = Visitor(address)
            began = time.monotonic()
            place = _sent(visitor, films["mild"])
            assert requests.get(f"{address}{place}", timeout=60).status_code == 200
            assert _read(visitor, place or "", "r1").status_code == 503
            assert time.monotonic() - began < 15
    assert "does not answer" in (tmp_path / "log").read_text("utf-8")
    assert "secret" not in (tmp_path / "log").read_text("utf-8")


def test_a_file_of_keys_that_is_gone_stops_no_worker_and_opens_no_door(films: dict[str, Path], tmp_path: Path):
    key, digest = new_key()
    (tmp_path / "keys").write_text(f"lab:{digest}\n")
    with serving(KNEEOA_API_KEYS=str(tmp_path / "keys")) as (address, process):
        ready(address)
        (tmp_path / "keys").unlink()
        kill_worker(process)
        ready(address)
        assert graded(address, films["mild"].read_bytes()) == {"status": 401}
        film = {"film": films["mild"].read_bytes()}
        assert requests.post(f"{address}/api/v1/grade", files=film, headers={"Authorization": f"Bearer {key}"}, timeout=60).status_code == 200


def test_a_rollback_answers_as_before(films: dict[str, Path], tmp_path: Path):
    """Revisions of a versioned folder: the first, a newer one whose rule of decision differs, and the first again."""
    newer = shutil.copytree(BUNDLE, tmp_path / "newer")
    config = json.loads((newer / "bundle.json").read_text("utf-8"))
    (newer / "bundle.json").write_text(json.dumps(config | {"version": "9.9.9"}), "utf-8")
    write_manifest(newer)
    where = str(tmp_path / "hub")
    for bundle, tag in ((BUNDLE, "v1"), (newer, "v2")):
        kneeoa_hub.push(bundle, where, tag=tag)
    answers = []
    for tag in ("v1", "v2", "v1"):
        with serving("--model", where, "--revision", tag) as (address, _):
            ready(address)
            answers.append((requests.get(f"{address}/api/v1/model", timeout=60).json(), graded(address, films["severe"].read_bytes())))
    assert answers[0] == answers[2]
    assert answers[1][0]["version"] == "9.9.9"
    assert answers[1][0]["revision"] != answers[0][0]["revision"]


def test_a_model_that_is_changed_on_disk_is_never_used(grader: KneeGrader, films: dict[str, Path], tmp_path: Path):
    bundle = shutil.copytree(BUNDLE, tmp_path / "bundle")
    right = grader.grade(films["severe"]).to_dict()
    with serving("--model", str(bundle)) as (address, process):
        ready(address)
        content = (bundle / "model.onnx").read_bytes()
        (bundle / "model.onnx").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert graded(address, films["severe"].read_bytes()) == right  # the one in memory is the right one
        kill_worker(process)
        end = time.monotonic() + 60
        while (report := graded(address, films["severe"].read_bytes())) is None:  # until the next worker has started
            assert time.monotonic() < end
        assert report == {"status": 503}
        assert_problem(requests.get(f"{address}/health/ready", timeout=60), 503, "model-unavailable")


def test_ten_thousand_malformed_requests_change_nothing(films: dict[str, Path], tmp_path: Path):
    draw = random.Random(1)
    heads = [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /api/v1/grade HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Type: image/png\r\n\r\nabcd"]
    with serving(log=tmp_path / "log") as (address, process):
        ready(address)
        host, _, port = address.removeprefix("http://").partition(":")
        (worker,) = workers(process)
        statuses: Counter[bytes] = Counter()

        def send(content: bytes) -> bytes:
            with socket.create_connection((host, int(port)), timeout=30) as connection:
                try:
                    connection.sendall(content)
                    connection.shutdown(socket.SHUT_WR)
                    return connection.recv(64)[9:12]
                except OSError:
                    return b"cut"

        def malformed(_: int) -> bytes:
            content = bytearray(draw.choice(heads))
            for _ in range(draw.randint(1, 8)):
                place = draw.randrange(len(content))
                content[place : place + draw.randint(0, 3)] = draw.randbytes(draw.randint(0, 40))
            return bytes(content)

        with ThreadPoolExecutor(8) as pool:
            statuses.update(pool.map(send, map(malformed, range(10_000))))
        assert sum(statuses.values()) == 10_000
        assert not {status for status in statuses if status.startswith(b"5")}, statuses
        assert statuses[b"400"] > 1000
        assert workers(process) == [worker]
        assert graded(address, films["mild"].read_bytes())
    assert all("trace" not in json.loads(line) for line in (tmp_path / "log").read_text("utf-8").splitlines())


def test_of_readings_written_while_workers_are_killed_none_is_lost_and_none_is_twice(films: dict[str, Path], tmp_path: Path):
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
                        _read(visitor, place or "", name)  # the form again, as by an impatient hand
                    except requests.RequestException:
                        break

        threads = [threading.Thread(target=reader, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            time.sleep(2)
            kill_worker(process)
        ready(address)
        time.sleep(1)
        stop.set()
        for thread in threads:
            thread.join()
    kept = [reader for reader, *_ in _kept(database)]
    assert len(confirmed) > 20
    assert set(confirmed) <= set(kept)
    assert max(Counter(kept).values()) == 1


def _database(path: Path) -> Path:
    """A database as the app makes it."""
    from flask_app.readings import Readings

    assert Readings(f"sqlite:///{path}").all() == []
    return path


def _kept(path: Path) -> list[tuple]:
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT reader, film_sha256, knee, before, grade FROM readings").fetchall()
    connection.close()
    return rows


def _sent(visitor: Visitor, film: Path) -> str | None:
    """Where the film's result is."""
    try:
        answer = visitor.submit("/", files={"film": film.read_bytes()}, headers=ACCEPT_JSON)
    except requests.RequestException:
        return None
    return answer.json()["result"] if answer.status_code == 201 else None


def _read(visitor: Visitor, place: str, reader: str) -> requests.Response:
    """A reader's grade of the film's one knee, sent without the page that follows."""
    return visitor.submit(f"{place}/readings", {"reader": reader, "grade-1-0": "3"})


@pytest.mark.parametrize("variables", [{"KNEEOA_MODEL": "lab/knees", "HF_ENDPOINT": "http://127.0.0.1:9", "KNEEOA_TIMEOUT": "2"}])
def test_a_hub_that_is_down_at_the_start_is_waited_for(variables: dict[str, str], films: dict[str, Path], tmp_path: Path):
    with serving(HF_HOME=str(tmp_path), **variables) as (address, process):
        assert requests.get(f"{address}/", timeout=60).status_code == 200
        assert_problem(requests.get(f"{address}/health/ready", timeout=60), 503, "model-unavailable")
        assert graded(address, films["mild"].read_bytes()) == {"status": 503}
        assert process.poll() is None
        assert re.search("kneeoa_failures|kneeoa_requests", requests.get(f"{address}/metrics", timeout=60).text)


def test_a_hub_that_comes_back_is_pulled_from(films: dict[str, Path], tmp_path: Path):
    soon = "import runpy, flask_app.source as s; s.RETRY_SECONDS = 1; runpy.run_module('flask_app', run_name='__main__')"
    with HubServer() as hub:
        hub.add_repo("lab/knees").add({path.relative_to(BUNDLE).as_posix(): path.read_bytes() for path in BUNDLE.rglob("*") if path.is_file()})
        for method in ("HEAD", "GET"):
            hub.fault("fail", method, "lab/knees", 10**6)
        with serving(code=soon, KNEEOA_MODEL="lab/knees", HF_ENDPOINT=hub.url, HF_HOME=str(tmp_path), KNEEOA_TIMEOUT="2") as (address, _):
            assert_problem(requests.get(f"{address}/health/ready", timeout=60), 503, "model-unavailable")
            hub.faults.clear()
            ready(address)
            report = graded(address, films["mild"].read_bytes())
            assert report
            assert len(report["knees"]) == 1
