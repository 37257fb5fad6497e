"""Who may use the Flask app, how often, and what its operator sees in log and metrics."""

import io
import json
import logging
import re
import struct
import sys
import threading
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image

import flask_app.turns
from benchmarks.film_kinds import dicom
from flask_app import create_app
from flask_app.keys import new_key, read_keys
from flask_app.metrics import Metrics
from flask_app.turns import AT_A_TIME, Busy, Turns
from flask_app.watch import JsonLines
from kneeoa_hub import KneeGrader
from kneeoa_hub.errors import SettingsError
from kneeoa_hub.imaging.sizes import is_large
from kneeoa_hub.settings import Settings

from ..support.flask_requests import assert_problem, grade, post, submit
from ..support.flask_serving import ended
from ..support.pictures import file, huge_png, noise
from ..support.waiting import until

SENT = ["/", "/api/v1/grade"]


def client_of(grader: KneeGrader, **settings: object) -> FlaskClient:
    return create_app(Settings(**settings), grader).test_client()  # type: ignore[arg-type]


def waiting(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("kneeoa_waiting")


def turned_away(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("kneeoa_turned_away_total")


# --- access


@pytest.mark.parametrize("path", SENT)
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
def test_another_site_can_t_post_on_behalf_of_a_visitor(grader: KneeGrader, path: str, headers: dict[str, str]):
    client = client_of(grader)
    answer = client.post(path, data={"sample": "mild"}, headers=headers)
    assert answer.status_code == 403
    assert "another site" in answer.text
    if path != "/":
        assert_problem(answer, 403, "cross-site")


@pytest.mark.parametrize(
    "headers", [{}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Origin": "http://localhost"}]
)
def test_the_app_s_own_pages_and_programs_can(grader: KneeGrader, headers: dict[str, str]):
    assert submit(client_of(grader), "/", {"sample": "mild"}, headers=headers).status_code == 200


def test_a_forged_host_is_rejected_when_hosts_are_configured(grader: KneeGrader):
    client = client_of(grader, trusted_hosts="knees.hospital.example, localhost")
    assert client.get("/", headers={"Host": "knees.hospital.example"}).status_code == 200
    answer = client.get("/", headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert "evil.example" not in answer.text
    assert_problem(client.get("/api/v1/model", headers={"Host": "evil.example"}), 400, "unknown-host")
    assert client.get("/health/live", headers={"Host": "10.0.0.7"}).status_code == 200


def test_the_api_asks_for_a_key_when_there_are_keys_and_pages_do_not(grader: KneeGrader, tmp_path: Path):
    key, digest = new_key()
    (tmp_path / "keys").write_text(f"# of the archive\n\narchive:{digest}\n", "utf-8")
    assert key not in (tmp_path / "keys").read_text("utf-8")
    client = client_of(grader, api_keys=str(tmp_path / "keys"))
    for headers in (
        {},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": f"Basic {key}"},
        {"Authorization": f"Bearer {digest}"},
    ):
        answer = client.get("/api/v1/model", headers=headers)
        assert_problem(answer, 401, "key-needed")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert client.get("/api/v1/model", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    assert client.get("/").status_code == client.get("/health/live").status_code == 200


@pytest.mark.parametrize("content", ["", "archive:abc\n", "# nothing\n", "a b:" + "0" * 64])
def test_an_unusable_file_of_keys_is_an_error(tmp_path: Path, content: str):
    (tmp_path / "keys").write_text(content, "utf-8")
    with pytest.raises(SettingsError, match=r"--new-key NAME"):
        read_keys(tmp_path / "keys")
    with pytest.raises(SettingsError, match="can't be read"):
        read_keys(tmp_path / "nowhere")


def test_a_key_is_made_by_a_command_that_shows_it_once(tmp_path: Path):
    status, said, errors = ended("--new-key", "archive", log=tmp_path / "log")
    assert status == 0, errors
    key, line = (text.strip() for text in said.splitlines() if text.startswith("  "))
    (tmp_path / "keys").write_text(line, "utf-8")
    from hashlib import sha256

    assert read_keys(tmp_path / "keys") == {sha256(key.encode()).hexdigest(): "archive"}
    assert ended("--new-key", "a b", log=tmp_path / "log")[0] == 1


# --- rate and capacity


def test_gradings_over_the_rate_are_rejected_and_pages_are_not(grader: KneeGrader):
    client = client_of(grader, rate_limit="2 per minute")
    assert [grade(client, noise()).status_code for _ in range(2)] == [200, 200]
    answer = grade(client, noise())
    assert_problem(answer, 429, "too-many-requests")
    assert 1 <= int(answer.headers["Retry-After"]) <= 61
    assert {client.get("/").status_code for _ in range(5)} == {200}
    other = client.post(
        "/api/v1/grade", data=noise(), content_type="image/png", environ_base={"REMOTE_ADDR": "10.0.0.9"}
    )
    assert other.status_code == 200


@pytest.mark.parametrize("rate", ["often", "0 per minute", "5 per second; 0 per hour"])
def test_an_invalid_rate_is_an_error(grader: KneeGrader, rate: str):
    with pytest.raises(SettingsError, match="give a rate such as 60 per minute"):
        client_of(grader, rate_limit=rate)


def test_when_too_many_wait_the_next_gets_retry_after_and_the_waiting_are_served():
    metrics = Metrics()
    queue, release = Turns(1, metrics), threading.Event()
    started = [threading.Event() for _ in range(AT_A_TIME)]
    served = []

    def hold(number: int) -> None:
        with queue.turn():
            started[number].set()
            release.wait(30)
        served.append(number)

    def wait() -> None:
        with queue.turn():
            served.append("waited")

    holders = [threading.Thread(target=hold, args=(number,)) for number in range(AT_A_TIME)]
    for holder, event in zip(holders, started, strict=True):
        holder.start()
        assert event.wait(30)
    waiter = threading.Thread(target=wait)
    waiter.start()
    until(lambda: waiting(metrics))
    with pytest.raises(Busy), queue.turn():
        pass
    release.set()
    for thread in (*holders, waiter):
        thread.join(30)
    assert sorted(map(str, served)) == sorted([*map(str, range(AT_A_TIME)), "waited"])
    assert (waiting(metrics), turned_away(metrics)) == (0, 1)
    with queue.turn():
        pass


def test_a_request_that_waited_too_long_for_a_turn_gets_retry_after(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(flask_app.turns, "WAIT_SECONDS", 0.1)
    metrics = Metrics()
    queue = Turns(5, metrics)
    with ExitStack() as turns:
        for _ in range(AT_A_TIME):
            turns.enter_context(queue.turn())
        with pytest.raises(Busy, match="Too many films"), queue.turn():
            pass
    assert (waiting(metrics), turned_away(metrics)) == (0, 1)
    with queue.turn():
        pass


def test_large_films_take_turns_and_others_pass_by(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(flask_app.turns, "AT_A_TIME", 3)
    metrics, order = Metrics(), []
    queue = Turns(5, metrics)

    def wait() -> None:
        with queue.turn(large=True):
            order.append("large")

    with queue.turn(large=True):
        waiter = threading.Thread(target=wait)
        waiter.start()
        until(lambda: waiting(metrics))
        with queue.turn():
            order.append("small")
    waiter.join(30)
    assert order == ["small", "large"]


def test_at_shutdown_waiting_requests_are_rejected_and_running_ones_finish():
    metrics, messages = Metrics(), []
    queue = Turns(5, metrics)

    def wait() -> None:
        try:
            with queue.turn():
                messages.append("graded")
        except Busy as busy:
            messages.append(busy.message)

    with ExitStack() as turns:
        for _ in range(AT_A_TIME):
            turns.enter_context(queue.turn())
        waiter = threading.Thread(target=wait)
        waiter.start()
        until(lambda: waiting(metrics))
        queue.stop()
        waiter.join(30)
        assert len(messages) == 1
        assert "being stopped" in messages[0]
        assert turned_away(metrics) == 0


def with_a_chunk_before_its_header(png: bytes) -> bytes:
    text = b"tEXta\0b"
    return png[:8] + struct.pack(">I", 3) + text + struct.pack(">I", zlib.crc32(text)) + png[8:]


def with_its_size_repeated_after_its_pixels(film: bytes, side: int) -> bytes:
    """A DICOM file with other Rows and Columns at its end."""
    return film + b"".join(struct.pack("<HH2sHH", 0x28, element, b"US", 2, side) for element in (0x10, 0x11))


@pytest.mark.parametrize(
    ("film", "large"),
    [
        (lambda: file(Image.new("L", (2000, 3999))), False),
        (lambda: file(Image.new("L", (2000, 4000))), True),
        (lambda: dicom(np.zeros((2000, 3999), np.uint16)), False),
        (lambda: dicom(np.zeros((2000, 4000), np.uint16)), True),
        (lambda: dicom(np.zeros((200, 200), np.uint16))[:200], True),
        (huge_png, True),
        (lambda: with_a_chunk_before_its_header(file(Image.new("L", (200, 200)))), True),
        (lambda: with_its_size_repeated_after_its_pixels(dicom(np.zeros((200, 200), np.uint16)), 3000), True),
        (lambda: b"no film", True),
    ],
)
def test_a_film_s_size_is_read_from_its_header_and_one_without_counts_as_large(film: Callable[[], bytes], large: bool):
    assert is_large(film()) == large


def test_a_full_queue_is_a_problem_with_the_time_to_come_back(grader: KneeGrader, films: dict[str, Path]):
    client = client_of(grader, queue=0)
    queue = client.application.extensions["kneeoa_queue"]
    with ExitStack() as turns:
        for _ in range(AT_A_TIME):
            turns.enter_context(queue.turn())
        answer = grade(client, films["mild"].read_bytes())
        assert_problem(answer, 503, "busy")
        assert answer.headers["Retry-After"] == "5"
        assert client.get("/health/live").status_code == client.get("/").status_code == 200
    assert grade(client, films["mild"].read_bytes()).status_code == 200


# --- metrics and log


def test_metrics_count_requests_grades_refusals_and_failures(grader: KneeGrader, films: dict[str, Path]):
    client = client_of(grader)
    grade(client, films["both-knees"].read_bytes(), noise(), b"x")
    client.get("/nowhere/DOE")
    found = client.get("/metrics").text

    def value(line: str) -> float:
        match = re.search(rf"^{re.escape(line)} (\S+)$", found, re.MULTILINE)
        return float(match[1]) if match else 0.0

    assert value('kneeoa_requests_total{method="POST",route="/api/v1/grade",status="200"}') == 1
    assert value('kneeoa_request_seconds_count{route="/api/v1/grade"}') == 1
    assert sum(value(f'kneeoa_grades_total{{grade="{number}"}}') for number in range(5)) == 2
    assert value('kneeoa_refusals_total{reason="not-a-knee"}') == 1
    assert value('kneeoa_failures_total{code="film-unsupported"}') == 1
    assert value(f'kneeoa_model_info{{model="{grader.model}",revision="{grader.revision}"}}') == 1
    assert value('kneeoa_requests_total{method="none",route="none",status="404"}') == 1
    assert "DOE" not in found


def test_the_log_is_json_with_the_request_s_id_and_no_name_key_or_address_of_a_result(
    grader: KneeGrader, caplog: pytest.LogCaptureFixture, films: dict[str, Path]
):
    caplog.set_level(logging.INFO)
    client = client_of(grader)
    page = submit(
        client,
        "/",
        {"film": [(io.BytesIO(films["mild"].read_bytes()), "DOE^JANE.png")]},
        headers={"X-Request-ID": "from-a-proxy-1"},
    )
    assert page.headers["X-Request-ID"] == "from-a-proxy-1"
    place = re.search(r"/results/([^/\"]+)", page.text)
    assert place
    other = client.get(f"/results/{place[1]}", headers={"X-Request-ID": "x\ty"})
    assert re.fullmatch("[0-9a-f]{32}", other.headers["X-Request-ID"])
    # after the form's page
    lines = [json.loads(JsonLines().format(record)) for record in caplog.records if record.name == "flask_app.watch"][
        1:
    ]
    assert [(line["request"], line["method"], line["route"], line["status"]) for line in lines] == [
        ("from-a-proxy-1", "POST", "/", 200),
        (other.headers["X-Request-ID"], "GET", "/results/<key>", 200),
    ]
    assert all(line["milliseconds"] > 0 and line["level"] == "info" for line in lines)
    logged = "\n".join(JsonLines().format(record) for record in caplog.records)
    assert "DOE" not in logged
    assert place[1] not in logged


def test_the_log_has_place_and_kind_of_a_fault_in_one_line_and_not_its_message():
    """The message of a fault may hold a value of a film's header."""
    try:
        raise RuntimeError("DOE^JANE")
    except RuntimeError:
        record = logging.getLogger("x").makeRecord(
            "x", logging.ERROR, __file__, 1, "%s failed", ("it",), sys.exc_info()
        )
    text = JsonLines().format(record)
    assert "\n" not in text
    trace = json.loads(text)["trace"]
    assert __file__ in trace
    assert trace.endswith("RuntimeError")
    assert "JANE" not in trace.replace('raise RuntimeError("DOE^JANE")', "")


def test_posting_twice_the_same_form_is_two_results(grader: KneeGrader, films: dict[str, Path]):
    client = client_of(grader)
    places = {re.search(r"/results/([^/\"]+)", post(client, "/", films["mild"].read_bytes()).text)[1] for _ in range(2)}  # type: ignore[index]
    assert len(places) == 2
