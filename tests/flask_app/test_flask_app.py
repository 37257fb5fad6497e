"""The Flask app's pages and API over its real routes, with the shipped model."""

import html
import io
import re
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image

from flask_app import MAX_FILMS, SECURITY_HEADERS, create_app
from flask_app.card import card_html
from kneeoa_hub import KneeGrader
from kneeoa_hub.bundle import read_bundle
from kneeoa_hub.grades import GRADES
from kneeoa_hub.knee import percent
from kneeoa_hub.report import DISCLAIMER
from kneeoa_hub.settings import Settings

from ..support.bundles import make_bundle
from ..support.flask_requests import URN, assert_discreet, assert_problem, grade, post, submit
from ..support.pictures import colours, file, huge_png, noise, two_pages


@pytest.fixture(scope="module")
def client(grader: KneeGrader) -> FlaskClient:
    return create_app(Settings(), grader).test_client()


# --- pages


def test_the_upload_page_offers_every_sample_and_says_what_it_takes(client: FlaskClient):
    page = client.get("/").text
    assert page.count('name="sample"') == 7
    assert "DICOM" in page
    assert f"Up to {MAX_FILMS} at a time, 128 MiB together" in page
    assert all(grade.criterion in page for grade in GRADES)


@pytest.mark.parametrize("path", ["/", "/about", "/nowhere"])
def test_a_page_always_says_that_it_is_no_medical_device(client: FlaskClient, path: str):
    assert DISCLAIMER in client.get(path).text


def test_pages_have_neither_inline_script_nor_inline_style_nor_outside_hosts(
    client: FlaskClient, films: dict[str, Path]
):
    pages = [client.get("/").text, client.get("/about").text, post(client, "/", films["mild"].read_bytes()).text]
    for page in pages:
        assert re.findall(r"<script(?! src=\"/)|<style|\sstyle=|\son[a-z]+=", page) == []
        assert re.findall(r"(?:src|href|action)=\"(?!/|#)[^\"]*", page.split('<article class="card prose">')[0]) == []


@pytest.mark.parametrize("name", ["normal", "severe", "both-knees", "sixteen-bit"])
def test_the_result_page_shows_what_the_library_says(
    client: FlaskClient, grader: KneeGrader, films: dict[str, Path], name: str
):
    report = grader.grade(films[name])
    page = html.unescape(post(client, "/", films[name].read_bytes()).text)
    pictures = [client.get(place) for place in re.findall(r'src="(/results/[^"]+.jpg)"', page)]
    # the film, its overlay, and each knee
    knees = [(knee.box[2] - knee.box[0], knee.box[3] - knee.box[1]) for knee in report.knees]
    sizes = [Image.open(io.BytesIO(picture.data)).size for picture in pictures]
    assert sizes == [report.film.shape[::-1]] * 2 + knees
    assert {picture.mimetype for picture in pictures} == {"image/jpeg"}
    assert page.count('<section class="knee"') == len(report.knees)
    for knee in report.knees:
        assert f"Grade {knee.grade} · {knee.label}" in page
        assert GRADES[knee.grade].criterion in page
        assert [percent(share) in page for share in knee.probabilities] == [True] * 5
        assert (f"{knee.side.capitalize()} knee" if knee.side else "Knee, side not known") in page
    assert all(warning in page for warning in report.warnings)
    assert report.findings().splitlines()[1] in page
    assert page.count("Its grades follow the readers of OAI.") == 2  # in the findings and at the foot
    assert report.model in page
    assert report.revision in page


def test_a_sample_is_graded_by_its_name_and_said_to_be_synthetic(client: FlaskClient):
    page = submit(client, "/", {"sample": "severe"})
    assert page.status_code == 200
    assert "This film is synthetic: a program has drawn it" in page.text
    assert submit(client, "/", {"sample": "../severe"}).status_code == 404


def test_a_sample_can_be_fetched_as_a_film(client: FlaskClient):
    response = client.get("/samples/sixteen-bit.png")
    with Image.open(io.BytesIO(response.data)) as image:
        assert image.mode == "I;16"
    assert client.get("/samples/nowhere.png").status_code == 404


def test_the_result_of_many_films_has_a_table_and_reports_the_bad_one_in_its_place(
    client: FlaskClient, films: dict[str, Path]
):
    response = post(client, "/", films["mild"].read_bytes(), b"no image", noise(), films["both-knees"].read_bytes())
    assert response.status_code == 200
    assert "Results of 4 films" in response.text
    assert response.text.count("<article") == 4
    assert response.text.index("could not be graded") < response.text.index("does not look like a frontal knee", 9000)
    assert response.text.count('<section class="knee"') == 3


def test_the_page_shows_the_message_of_a_refusal(client: FlaskClient):
    response = post(client, "/", noise())
    assert response.status_code == 200
    assert "Not graded." in response.text
    assert "does not look like a frontal knee" in response.text
    assert '<section class="knee"' not in response.text


def test_a_form_without_a_film_is_shown_again_with_the_reason(client: FlaskClient):
    response = submit(client, "/", {"film": (io.BytesIO(b""), "")})
    assert response.status_code == 400
    assert "Choose at least one film first." in response.text
    assert '<input class="drop"' in response.text


def test_a_film_that_fails_alone_gives_its_status_and_a_page(client: FlaskClient):
    response = post(client, "/", b"no image")
    assert response.status_code == 415
    assert "This film could not be graded." in response.text


def test_a_film_s_name_is_shown_as_text(client: FlaskClient, films: dict[str, Path]):
    name = "<img src=x onerror=alert(1)>.png"
    page = post(client, "/", films["mild"].read_bytes(), names=(name,)).text
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;.png" in page


def test_the_about_page_is_the_served_model_s_card(client: FlaskClient, grader: KneeGrader):
    page = client.get("/about").text
    assert f"<h1>{grader.model}" in page
    assert "<table>" in page
    assert "library_name" not in page
    figure = re.search(r'src="(/about/figures/[^"]+)"', page)
    assert figure
    assert client.get(figure[1]).mimetype == "image/png"


@pytest.mark.parametrize(
    "path", ["/about/figures/", "/about/figures/../model.onnx", "/about/figures/%2e%2e/bundle.json"]
)
def test_no_other_file_of_the_bundle_is_served(client: FlaskClient, path: str):
    assert client.get(path).status_code == 404


def test_html_in_a_card_is_shown_as_text_and_its_comments_are_left_out(tmp_path: Path):
    card = (
        "---\nlicense: x\n---\n# Card\n\n<script>alert(1)</script>\n\n<!-- secret"
        " -->\n[a](javascript:alert)\n![b](figures/c.png)\n"
    )
    shown = card_html(read_bundle(make_bundle(tmp_path / "bundle", card=card)), "/about/figures/")
    assert shown
    assert "<script" not in shown
    assert "secret" not in shown
    assert "license" not in shown
    assert 'href="javascript' not in shown
    assert 'src="/about/figures/c.png"' in shown


# --- API


@pytest.mark.parametrize("name", ["doubtful", "both-knees", "sixteen-bit"])
def test_the_api_answers_as_the_library_does(
    client: FlaskClient, grader: KneeGrader, films: dict[str, Path], name: str
):
    answer = grade(client, films[name].read_bytes()).get_json()
    assert answer == {
        "films": [grader.grade(films[name]).to_dict()],
        "model": grader.model,
        "revision": grader.revision,
    }


def test_many_films_keep_their_order_and_a_bad_one_is_reported_in_its_place(
    client: FlaskClient, grader: KneeGrader, films: dict[str, Path]
):
    response = grade(client, films["severe"].read_bytes(), b"", films["normal"].read_bytes(), noise())
    assert response.status_code == 200
    first, second, third, fourth = response.get_json()["films"]
    assert first == grader.grade(films["severe"]).to_dict()
    assert second["error"]["type"] == URN + "film-empty"
    assert second["error"]["status"] == 400
    assert third == grader.grade(films["normal"]).to_dict()
    assert fourth["refused"]["reason"] == "not-a-knee"
    assert fourth["knees"] == []


@pytest.mark.parametrize(("film", "reason"), [(noise, "not-a-knee"), (colours, "not-a-radiograph")])
def test_a_refusal_is_an_answer(client: FlaskClient, film: Callable[[], bytes], reason: str):
    response = grade(client, film())
    assert response.status_code == 200
    (report,) = response.get_json()["films"]
    assert report["refused"]["reason"] == reason
    assert report["knees"] == []


@pytest.mark.parametrize(
    ("film", "status", "code"),
    [
        (b"", 400, "film-empty"),
        (b"not an image", 415, "film-unsupported"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "film-unsupported"),
        (b"<!doctype html><script>alert(1)</script>", 415, "film-unsupported"),
        (noise()[:2000], 422, "film-damaged"),
        (bytes(128) + b"DICM" + bytes(50), 415, "film-unsupported"),
        (file(Image.new("L", (64, 48))), 422, "film-too-small"),
        (two_pages(), 422, "film-several-frames"),
        (huge_png(), 413, "film-too-large"),
    ],
)
def test_a_film_that_can_t_be_graded_is_the_request_s_problem(client: FlaskClient, film: bytes, status: int, code: str):
    assert_problem(grade(client, film), status, code)
    page = post(client, "/", film)
    assert page.status_code == status
    assert "could not be graded" in page.text
    assert_discreet(page.text)


def test_a_dicom_file_is_graded(client: FlaskClient, films: dict[str, Path], tmp_path: Path):
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

    with Image.open(films["sixteen-bit"]) as image:
        pixels = np.asarray(image)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["film"])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film = FileDataset(str(tmp_path / "film.dcm"), {}, file_meta=meta, preamble=bytes(128))
    film.SOPClassUID, film.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    film.Rows, film.Columns = pixels.shape
    film.SamplesPerPixel, film.PhotometricInterpretation, film.PixelRepresentation = 1, "MONOCHROME2", 0
    film.BitsAllocated, film.BitsStored, film.HighBit = 16, 16, 15
    film.Laterality = "R"
    film.PixelData = pixels.tobytes()
    film.save_as(tmp_path / "film.dcm", enforce_file_format=True)
    (report,) = grade(client, (tmp_path / "film.dcm").read_bytes()).get_json()["films"]
    assert [knee["side"] for knee in report["knees"]] == ["right"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "The request holds no film."),
        ({"film": "text"}, "holds text"),
        ({"image": (io.BytesIO(b"x"), "x.png")}, "(received: image)"),
    ],
)
def test_a_request_without_a_film_says_what_it_had(client: FlaskClient, data: dict[str, object], words: str):
    response = client.post("/api/v1/grade", data=data, content_type="multipart/form-data; boundary=b")
    assert_problem(response, 400, "no-film")
    assert words in response.get_json(force=True)["detail"]


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded", "", "multipart/mixed"])
def test_another_content_type_is_unsupported(client: FlaskClient, kind: str):
    assert_problem(client.post("/api/v1/grade", data=b"{}", content_type=kind), 415, "unsupported-media-type")


def test_too_many_films_are_rejected(client: FlaskClient):
    assert_problem(grade(client, *[b"x"] * (MAX_FILMS + 1)), 413, "request-too-large")


def test_a_request_over_the_limit_is_rejected(grader: KneeGrader):
    client = create_app(Settings(max_bytes=10_000), grader).test_client()
    assert_problem(grade(client, bytes(100_000)), 413, "request-too-large")
    page = post(client, "/", bytes(100_000))
    assert page.status_code == 413
    assert "The upload is too large" in page.text


def test_limits_and_model_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, films: dict[str, Path]):
    monkeypatch.setenv("KNEEOA_MODEL", "kneeoa-cnn")
    monkeypatch.setenv("KNEEOA_MAX_PIXELS", "100000")
    client = create_app().test_client()
    assert_problem(grade(client, films["mild"].read_bytes()), 413, "film-too-large")
    assert client.get("/api/v1/model").get_json()["model"] == "kneeoa-cnn"


def test_the_model_is_described(client: FlaskClient, grader: KneeGrader):
    answer = client.get("/api/v1/model").get_json()
    assert (answer["model"], answer["revision"]) == (grader.model, grader.revision)
    assert answer["grades"] == [grade.label for grade in GRADES]
    assert answer["grade_set_level"] == 0.9


def test_an_unknown_address_is_a_problem_for_programs_and_a_page_for_people(client: FlaskClient):
    assert_problem(client.get("/api/v1/nowhere"), 404, "not-found")
    page = client.get("/nowhere")
    assert page.status_code == 404
    assert "There is nothing at this address." in page.text
    assert page.mimetype == "text/html"


def test_a_wrong_method_gets_the_allowed_ones(client: FlaskClient):
    response = client.get("/api/v1/grade")
    assert_problem(response, 405, "method-not-allowed")
    assert "POST" in response.headers["Allow"]


@pytest.mark.parametrize(
    "path", ["/", "/nowhere", "/api/v1/model", "/api/v1/nowhere", "/health/live", "/static/style.css"]
)
def test_every_answer_has_the_security_headers(client: FlaskClient, path: str):
    with client.get(path) as response:
        assert dict(response.headers).items() >= SECURITY_HEADERS.items()
        assert "no-store" in response.headers["Cache-Control"] or path.startswith("/static/")


# --- real films


def test_real_films_are_graded_over_http_as_in_the_library(client: FlaskClient, grader: KneeGrader, data: Path):
    films = [*_oai(data / "oai_test.zip", 6), *_sixteen_bit(data / "gornale_original_png.tar", 4)]
    answers = grade(client, *films).get_json()["films"]
    assert answers == [grader.grade(film).to_dict() for film in films]
    assert sum(len(answer["knees"]) for answer in answers) >= 8


def test_pictures_of_other_things_are_answers_without_a_fault(client: FlaskClient, data: Path):
    with zipfile.ZipFile(data / "not_knee.zip") as archive:
        names = [name for name in archive.namelist() if not name.endswith((".csv", "/"))]
        films = [archive.read(name) for name in names]
    statuses = {grade(client, film).status_code for film in films[:12]}
    assert statuses <= {200, 413, 422}


def _oai(path: Path, count: int) -> list[bytes]:
    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        return [archive.read(name) for name in names[:: len(names) // count][:count]]


def _sixteen_bit(path: Path, count: int) -> list[bytes]:
    found = []
    with tarfile.open(path) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            film = content.read() if content else b""
            if film[:8] == b"\x89PNG\r\n\x1a\n" and film[24] == 16:  # the header's bit depth
                found.append(film)
            if len(found) == count:
                break
    return found
