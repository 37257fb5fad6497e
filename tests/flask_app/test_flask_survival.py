"""The running server through what happens in years: killed workers, stops, changed models, a Hub that is down.

Never a wrong answer.
"""

import json
import re
import shutil
import socket
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

import kneeoa_hub
from flask_app.keys import new_key
from kneeoa_hub import KneeGrader
from kneeoa_hub.manifest import write_manifest

from ..support.flask_requests import assert_problem
from ..support.flask_serving import ROOT, faults, graded, kill_worker, metric, ready, serving
from ..support.hub_server import HubServer
from ..support.waiting import until

BUNDLE = ROOT / "kneeoa_hub" / "pretrained" / "kneeoa-cnn"


def test_a_killed_worker_is_replaced_and_no_answer_is_ever_wrong(grader: KneeGrader, films: dict[str, Path]):
    names = ("normal", "severe")
    right = {name: grader.grade(films[name]).to_dict() for name in names}
    stop = threading.Event()
    answers: list[tuple[str, dict | None]] = []
    with serving() as (address, process):
        ready(address)

        def client(name: str) -> None:
            while not stop.is_set():
                answers.append((name, graded(address, films[name].read_bytes())))

        def reports() -> int:
            return sum(answer is not None and "status" not in answer for _, answer in list(answers))

        with ThreadPoolExecutor(6) as pool:
            clients = [pool.submit(client, name) for name in names * 3]
            for killed in range(3):
                so_far = reports()
                until(lambda so_far=so_far: reports() > so_far + 5)
                if killed < 2:
                    kill_worker(process)
            stop.set()
            for ended in clients:
                ended.result()
        assert graded(address, films["severe"].read_bytes()) == right["severe"]
    rejected = [(name, answer) for name, answer in answers if answer is not None and "status" not in answer]
    assert len(rejected) > 10
    assert all(answer == right[name] for name, answer in rejected)
    assert {answer["status"] for _, answer in answers if answer and "status" in answer} <= {503}


def test_a_worker_whose_parent_is_killed_frees_the_port():
    with serving() as (address, process):
        ready(address)
        process.kill()

        def gone() -> bool:
            try:
                requests.get(f"{address}/health/live", timeout=10)
            except requests.ConnectionError:
                return True
            return False

        until(gone)
        port = int(address.rpartition(":")[2])
        with socket.create_server(("127.0.0.1", port)):
            pass


def test_a_stop_lets_the_request_under_way_be_answered(films: dict[str, Path]):
    with serving() as (address, process), ThreadPoolExecutor(1) as pool:
        ready(address)
        many = [("film", films["both-knees"].read_bytes())] * 15
        answer = pool.submit(requests.post, f"{address}/api/v1/grade", files=many, timeout=60)
        until(lambda: metric(address, "kneeoa_grading "))
        assert not answer.done()
        process.terminate()
        assert len(answer.result().json()["films"]) == 15
        assert process.wait(60) == 0


@pytest.mark.parametrize("fork", [True, False])
def test_a_stop_answers_running_requests_and_gives_waiting_ones_retry_after(
    films: dict[str, Path], tmp_path: Path, fork: bool
):
    with serving(fork=fork, log=tmp_path / "log") as (address, process), ThreadPoolExecutor(8) as pool:
        ready(address)
        many = [("film", films["both-knees"].read_bytes())] * 8  # so small a body never waits for room
        sent = [pool.submit(requests.post, f"{address}/api/v1/grade", files=many, timeout=120) for _ in range(8)]

        def all_received() -> bool:
            answered = metric(address, 'kneeoa_requests_total{method="POST"')
            waiting, grading = (metric(address, f"kneeoa_{name} ") for name in ("waiting", "grading"))
            return waiting > 0 and answered + waiting + grading >= len(sent)

        until(all_received)
        process.terminate()
        answers = [one.result() for one in sent]
        assert process.wait(60) == 0
    kinds = Counter(answer.status_code for answer in answers)
    assert kinds.keys() == {200, 503}
    assert all(len(answer.json()["films"]) == 8 for answer in answers if answer.status_code == 200)
    rejected = [answer for answer in answers if answer.status_code == 503]
    for answer in rejected:
        assert_problem(answer, 503, "busy")
        assert answer.headers["Retry-After"] == "5"
    assert any("being stopped" in answer.text for answer in rejected)
    assert faults(tmp_path / "log") == []


def test_more_requests_than_may_wait_get_retry_after_and_the_others_are_answered(films: dict[str, Path]):
    many = [("film", films["both-knees"].read_bytes())] * 6
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
        assert (
            requests.post(
                f"{address}/api/v1/grade", files=film, headers={"Authorization": f"Bearer {key}"}, timeout=60
            ).status_code
            == 200
        )


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
            answers.append(
                (
                    requests.get(f"{address}/api/v1/model", timeout=60).json(),
                    graded(address, films["severe"].read_bytes()),
                )
            )
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
        report = until(lambda: graded(address, films["severe"].read_bytes()))  # when the next worker has started
        assert report == {"status": 503}
        assert_problem(requests.get(f"{address}/health/ready", timeout=60), 503, "model-unavailable")


@pytest.mark.parametrize(
    "variables", [{"KNEEOA_MODEL": "lab/knees", "HF_ENDPOINT": "http://127.0.0.1:9", "KNEEOA_TIMEOUT": "2"}]
)
def test_the_app_waits_for_a_hub_that_is_down_at_the_start(
    variables: dict[str, Any], films: dict[str, Path], tmp_path: Path
):
    with serving(HF_HOME=str(tmp_path), **variables) as (address, process):
        assert requests.get(f"{address}/", timeout=60).status_code == 200
        assert_problem(requests.get(f"{address}/health/ready", timeout=60), 503, "model-unavailable")
        assert graded(address, films["mild"].read_bytes()) == {"status": 503}
        assert process.poll() is None
        assert re.search("kneeoa_failures|kneeoa_requests", requests.get(f"{address}/metrics", timeout=60).text)


def test_the_app_pulls_from_a_hub_that_comes_back(films: dict[str, Path], tmp_path: Path):
    soon = (
        "import runpy, flask_app.source as s; s.RETRY_SECONDS = 1; runpy.run_module('flask_app', run_name='__main__')"
    )
    with HubServer() as hub:
        hub.add_repo("lab/knees").add(
            {path.relative_to(BUNDLE).as_posix(): path.read_bytes() for path in BUNDLE.rglob("*") if path.is_file()}
        )
        for method in ("HEAD", "GET"):
            hub.fault("fail", method, "lab/knees", 10**6)
        with serving(
            code=soon, KNEEOA_MODEL="lab/knees", HF_ENDPOINT=hub.url, HF_HOME=str(tmp_path), KNEEOA_TIMEOUT="2"
        ) as (address, _):
            assert_problem(requests.get(f"{address}/health/ready", timeout=60), 503, "model-unavailable")
            hub.faults.clear()
            ready(address)
            report = graded(address, films["mild"].read_bytes())
            assert report
            assert len(report["knees"]) == 1
