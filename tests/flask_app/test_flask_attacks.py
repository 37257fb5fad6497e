"""What an attacker would try on the Flask app, beside the bad films (test_bad_films.py), forged hosts and forms
(test_flask_guards.py).
"""

import gzip
import io
import json
import re
import struct
import subprocess
import sys
import tracemalloc
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pydicom
import pytest
import requests
from flask.testing import FlaskClient
from PIL import Image

import flask_app.bodies
import flask_app.source
from flask_app import create_app
from kneeoa_hub import KneeGrader
from kneeoa_hub.settings import Settings

from ..support.dicom_films import study
from ..support.flask_requests import URN, assert_discreet, assert_problem, grade, post, result_address
from ..support.flask_serving import ROOT, connected, ready, serving, workers
from ..support.pictures import file, huge_png

NAMES = [
    "../../../../etc/passwd",
    "..\\..\\windows\\system32\\config",
    "/dev/stdin",
    "C:\\boot.ini",
    "file:///etc/passwd",
    "knee.png\0.exe",
    "a" * 5000 + ".png",
    "knee\r\nSet-Cookie: session=stolen\r\n.png",
    '"><script>alert(1)</script>.png',
    "=HYPERLINK(1).png",
    "\u202egnp.exe",
]


@pytest.fixture(scope="module")
def client(grader: KneeGrader) -> FlaskClient:
    return create_app(Settings(), grader).test_client()


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:20])
def test_a_film_s_name_is_only_text_to_show(client: FlaskClient, films: dict[str, Path], name: str):
    film = films["mild"].read_bytes()
    page = post(client, "/", film, names=(name,))
    assert "<script>alert" not in page.text
    if '"' in name or "\n" in name:  # such a form can be read in two ways
        assert page.status_code == 400
        return
    assert page.status_code == 200
    assert "stolen" not in str(page.headers)
    for form in ("pdf", "json", "csv"):
        kept = client.get(f"{result_address(page.text)}/report.{form}")
        assert kept.status_code == 200
        assert re.fullmatch(r"attachment; filename=[\w.-]+", kept.headers["Content-Disposition"])
    answer = grade(client, film, names=(name,))
    assert answer.status_code == 200
    assert "root:" not in answer.text


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: x=1", "<script>", "x" * 500, "é", "../../log"])
def test_a_request_s_id_that_is_no_id_is_not_taken_over(client: FlaskClient, value: str):
    answer = client.get("/health/live", environ_overrides={"HTTP_X_REQUEST_ID": value})
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["X-Request-ID"])
    assert not answer.headers.getlist("Set-Cookie")


@pytest.mark.parametrize("path", ["/", "/about", "/docs", "/health/live", "/api/v1/model"])
def test_no_answer_repeats_the_host_that_was_asked_and_only_a_page_with_a_form_sets_a_cookie(
    client: FlaskClient, path: str
):
    answer = client.get(path, headers={"Host": "evil.example"})
    assert bool(answer.headers.getlist("Set-Cookie")) == (path == "/")
    assert "evil.example" not in answer.text + str(answer.headers)


@pytest.mark.parametrize(
    "path",
    [
        "/static/../__init__.py",
        "/static/%2e%2e/__init__.py",
        "/static//etc/passwd",
        "/results/../readings",
        "/results/x/report.pdf",
    ],
)
def test_no_address_leads_out_of_what_is_served(client: FlaskClient, path: str):
    answer = client.get(path, follow_redirects=True)
    assert answer.status_code in (404, 405)
    assert_discreet(answer.text)


def _bomb(side: int, kind: int = 0) -> bytes:
    """A complete PNG of few bytes that decompresses to side x side pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    rows = zlib.compressobj(9)
    line = bytes(1 + side)
    packed = b"".join(rows.compress(line) for _ in range(side)) + rows.flush()
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, kind, 0, 0, 0))
        + chunk(b"IDAT", packed)
        + chunk(b"IEND", b"")
    )


def test_a_film_that_would_decompress_beyond_the_limit_is_not_decompressed(client: FlaskClient):
    bombs = {"promised": huge_png(), "real": _bomb(8000)}
    assert len(bombs["real"]) < 100_000
    for film in bombs.values():
        assert_problem(grade(client, film), 413, "film-too-large")


def test_of_many_large_compressed_films_one_is_decompressed_at_a_time(client: FlaskClient):
    """One request may hold fifty files of 40 kB, which would decompress to gigabytes together."""
    bomb = _bomb(3000)
    grade(client, bomb)
    for path in ("/", "/api/v1/grade"):
        peaks = []
        for films in (1, 8):
            tracemalloc.start()
            assert post(client, path, *[bomb] * films).status_code == 200
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert peaks[1] < 1.6 * peaks[0] + 8 * 1400 * 1400


def test_a_request_that_takes_too_long_is_answered_for_the_films_so_far(
    client: FlaskClient, films: dict[str, Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(flask_app.source, "GRADING_SECONDS", 0)
    first, *others = grade(client, *[films["mild"].read_bytes()] * 3).get_json()["films"]
    assert len(first["knees"]) == 1
    assert [(one["error"]["type"], one["error"]["status"]) for one in others] == [(URN + "out-of-time", 413)] * 2
    assert grade(client, films["mild"].read_bytes()).status_code == 200


def test_films_of_many_pixels_are_decoded_one_at_a_time(films: dict[str, Path]):
    """Three films of 40 million pixels, in files of 1.5 MB, on a machine with four cores."""
    large = file(Image.open(films["mild"]).resize((6300, 6300)))
    four = (
        "import os, runpy; os.sched_getaffinity = lambda _: {0, 1, 2, 3}; runpy.run_module('flask_app',"
        " run_name='__main__')"
    )
    with serving(code=four) as (where, process), ThreadPoolExecutor(3) as pool:
        ready(where)
        sent = [
            pool.submit(requests.post, f"{where}/api/v1/grade", files={"film": large}, timeout=120) for _ in range(3)
        ]
        assert [one.result().status_code for one in sent] == [200] * 3
        (worker,) = workers(process)
        peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{worker}/status").read_text())
    assert peak
    assert int(peak[1]) < 650_000  # one at a time takes some 400 MB, two take 600


def test_a_faulty_request_is_answered_and_logged_without_quoting_it(tmp_path: Path):
    log = tmp_path / "log"
    beginnings = [
        (b"DOE^JANE\r\n\r\n", 400),
        (b"GET /DOE^JANE \0 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nPatient DOE: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: DOE\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: DOE\r\n\r\n", 400),
        (b"GET /" + b"DOE" * 12_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nDOE: " + b"x" * 40_000 + b"\r\n\r\n", 431),
    ]
    with serving(log=log) as (where, _):
        for content, status in beginnings:
            with connected(where) as connection:
                connection.sendall(content)
                answer = connection.recv(65536)
            assert answer.startswith(f"HTTP/1.1 {status} ".encode())
            assert b"DOE" not in answer
            assert b"nosniff" in answer
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    refused = ("Invalid HTTP request received.", "The head of a request is too large.")
    assert sum(line["message"] in refused for line in lines) == len(beginnings)
    assert "DOE" not in log.read_text("utf-8")


def test_no_patient_reaches_the_log_though_libraries_warn_of_the_header(tmp_path: Path):
    """The warnings concern names of one component, an unknown character set and values that are too long."""
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        odd = pydicom.dcmread(
            io.BytesIO(study(PatientName="ROE RICHARD", PatientID="ROE" * 30, AccessionNumber="ROE" * 20))
        )
        odd.SpecificCharacterSet = "ISO_IR 100"
        odd.save_as(content)
    films = [content.getvalue(), content.getvalue().replace(b"ISO_IR 100", b"ROE_RICH_1")]
    log = tmp_path / "log"
    with serving(log=log) as (where, _):
        for path in ("/api/v1/grade", "/api/v1/dicom/report"):
            for film in films:
                answer = requests.post(
                    f"{where}{path}", data=film, headers={"Content-Type": "application/dicom"}, timeout=60
                )
                assert answer.status_code in (200, 415), answer.text
                if path == "/api/v1/dicom/report" and film is films[0]:
                    assert pydicom.dcmread(io.BytesIO(answer.content)).PatientName == "ROE RICHARD"
    logged = log.read_text("utf-8")
    assert len([json.loads(line) for line in logged.splitlines()]) >= 4
    assert "ROE" not in logged
    assert odd.SOPInstanceUID not in logged


def test_a_warning_and_a_fault_of_a_thread_are_json_lines_without_their_text():
    code = "import threading, warnings; from flask_app.watch import log_as_json; log_as_json(); warnings.warn('ROE')\n"
    code += "def fail(): raise ValueError(chr(82) + 'OE')\nthreading.Thread(target=fail).start()"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    warning, fault = (json.loads(line) for line in ended.stderr.splitlines())
    assert (warning["category"], warning["place"]) == ("UserWarning", "<string>:1")
    assert fault["trace"].endswith("ValueError")
    assert "ROE" not in ended.stderr


def test_a_compressed_text_chunk_is_not_decompressed(client: FlaskClient):
    """The compressed text of a PNG is not part of the film, so the header of the picture does not give its size."""
    film = file(Image.fromarray(np.tile(np.arange(256, dtype=np.uint8), (256, 1))))
    packed = b"Comment\0\0" + zlib.compress(bytes(50_000_000), 9)
    chunk = struct.pack(">I", len(packed)) + b"zTXt" + packed + struct.pack(">I", zlib.crc32(b"zTXt" + packed))
    answer = grade(client, film[:33] + chunk + film[33:])
    assert answer.status_code < 500
    assert_discreet(answer.text)


def test_a_compressed_body_is_not_decompressed(client: FlaskClient):
    body = gzip.compress(bytes(50_000_000))
    answer = client.post("/api/v1/grade", data=body, content_type="image/png", headers={"Content-Encoding": "gzip"})
    assert 400 <= answer.status_code < 500


def test_a_form_of_thousands_of_parts_or_endless_names_is_rejected(client: FlaskClient):
    many = {f"field{number}": "x" for number in range(2000)}
    assert client.post("/", data=many, content_type="multipart/form-data").status_code == 413
    assert client.post(
        "/api/v1/grade", data={"x" * 1_000_000: "y"}, content_type="multipart/form-data"
    ).status_code in (400, 413)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_form_without_files_of_many_fields_is_rejected_before_it_is_read(client: FlaskClient, chunked: bool):
    """Each field takes fifty times its bytes: 20 MB took 700."""
    body = b"a=b&" * 200_000
    length = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True} if chunked else {}
    tracemalloc.start()
    answer = client.post(
        "/",
        input_stream=io.BytesIO(body),
        content_type="application/x-www-form-urlencoded",
        content_length=None if chunked else len(body),
        environ_overrides=length,
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert answer.status_code in (400, 413)
    assert peak < 8 * 2**20


def test_a_text_field_as_large_as_a_film_is_rejected(client: FlaskClient):
    assert client.post("/", data={"sample": "x" * 10_000_000}, content_type="multipart/form-data").status_code == 413


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=" + "b" * 5000,
        "multipart/form-data; boundary=x",
        "text/xml",
        "\u00e9",
    ],
)
def test_a_malformed_form_is_a_client_error(client: FlaskClient, kind: str):
    for path in ("/", "/api/v1/grade"):
        answer = client.post(
            path, data=b"--x\r\nContent-Disposition: form-data; name=\r\n\r\n" + bytes(100), content_type=kind
        )
        assert 400 <= answer.status_code < 500
        assert_discreet(answer.text)


@pytest.mark.parametrize("disposition", ["", "form-data", "form-data; filename=x", "form-data; name*=nope''x"])
def test_a_part_without_a_name_is_a_client_error(client: FlaskClient, disposition: str):
    body = f"--x\r\nContent-Disposition: {disposition}\r\n\r\n1\r\n--x--\r\n".encode()
    for path in ("/", "/api/v1/grade", "/api/v1/overlay", "/results/none/readings"):
        answer = client.post(path, data=body, content_type="multipart/form-data; boundary=x")
        assert 400 <= answer.status_code < 500
        assert_discreet(answer.text)


@pytest.mark.parametrize(
    "head",
    [
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET"
            b" /readings HTTP/1.1\r\nHost: x\r\n\r\n"
        ),
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 50\r\n\r\nhello",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"TRACE / HTTP/1.1\r\nHost: x\r\nAuthorization: secret\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"0" * 6000 + b"1\r\n\r\na",
        b"GET /docs HTTP/1.1\r\nHost: " + b"a" * 64 + b"\r\n\r\n",
        b"GET /docs HTTP/1.1\r\nHost: a..b\r\n\r\n",
    ],
    ids=[
        *("two lengths", "two contents", "long header", "space in a name", "zero in a path", "trace", "long length"),
        *("long host", "empty part of a host"),
    ],
)
def test_an_ambiguous_request_is_rejected(server: str, head: bytes):
    with connected(server) as connection:
        connection.sendall(head)
        answer = connection.recv(65536)
    assert re.match(rb"HTTP/1.1 4\d\d ", answer), answer[:100]
    assert b"secret" not in answer


@pytest.fixture(scope="module")
def server():
    with serving() as (where, _):
        yield where


def test_nothing_of_this_project_that_is_served_names_a_folder_of_the_server(client: FlaskClient):
    for path in ("/", "/about", "/docs", "/openapi.json", "/metrics", "/api/v1/model"):
        assert str(ROOT) not in client.get(path).text


def test_a_picture_that_is_graded_comes_back_as_another_file(client: FlaskClient, films: dict[str, Path]):
    """The page shows a new image file: nothing that was hidden in the film's file is in it."""
    hidden = films["mild"].read_bytes() + b"<script>alert('zyzzyva')</script>"
    page = post(client, "/", hidden)
    assert page.status_code == 200
    assert b"zyzzyva" not in page.data
